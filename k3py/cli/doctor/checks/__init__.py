"""What the doctor looks at, a topic a file; `CHECKS` in `k3py.cli.doctor.examination` lists them."""

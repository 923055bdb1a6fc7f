"""Container runtimes behind one seam: CRI (containerd) and a verified fake."""

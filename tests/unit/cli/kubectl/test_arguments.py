"""Flags may stand anywhere."""

import pytest

from k3py.cli.kubectl.arguments import sort_arguments
from k3py.cli.kubectl.command_line import build_parser


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("get pods web -o yaml db", {"targets": ["pods", "web", "db"], "output": "yaml"}),
        ("-n shop get pods", {"namespace": "shop", "targets": ["pods"]}),
        ("label pod web --overwrite a=b", {"words": ["pod", "web", "a=b"], "overwrite": "true"}),
        ("label pod web --overwrite=false a=b", {"words": ["pod", "web", "a=b"], "overwrite": "false"}),
        ("rollout undo deploy/web --to-revision 3 -n x", {"words": ["deploy/web"], "to_revision": 3, "namespace": "x"}),
        ("exec -it web", {"pod": "web", "stdin": True, "tty": True}),
        ("exec web -itc main", {"pod": "web", "container": "main"}),
        ("create secret generic s --from-literal a=b", {"name": "s", "from_literal": ["a=b"]}),
        ("scale --replicas=3 deploy web", {"words": ["deploy", "web"], "replicas": 3}),
        ("apply -f - --server-side", {"filename": ["-"], "server_side": True}),
    ],
)
def test_words_are_put_where_argparse_reads_them(line, expected):
    parser = build_parser()
    options = parser.parse_args(sort_arguments(parser, line.split()))
    assert {name: getattr(options, name) for name in expected} == expected

"""Tables of the built-in kubectl: columns by priority, alignment, namespaces, watches."""

from k3py.cli.kubectl.table import print_table

COLUMNS = [{"name": "Name"}, {"name": "Ready"}, {"name": "Node", "priority": 1}]


def table(*rows):
    return {
        "columnDefinitions": COLUMNS,
        "rows": [{"cells": list(cells), "object": {"metadata": {"namespace": "web"}}} for cells in rows],
    }


def test_columns_are_aligned_and_those_of_low_priority_are_for_wide_only(capsys):
    print_table(table(("a-long-name", "1/1", "n1"), ("b", None, "")), wide=False, with_namespace=False)
    assert capsys.readouterr().out == "NAME          READY\na-long-name   1/1\nb             \n"
    print_table(table(("b", "1/1", "")), wide=True, with_namespace=True)
    assert capsys.readouterr().out == "NAMESPACE   NAME   READY   NODE\nweb         b      1/1     \n"


def test_nothing_is_printed_without_rows(capsys):
    assert print_table(table(), wide=False, with_namespace=False) == []
    assert capsys.readouterr().out == ""


def test_later_lines_of_a_watch_stand_below_the_first(capsys):
    widths = print_table(table(("a-long-name", "1/1", "n1")), wide=False, with_namespace=False)
    print_table(table(("b", "0/1", "")), wide=False, with_namespace=False, headers=False, widths=widths)
    assert capsys.readouterr().out.splitlines()[-1] == "b             0/1"

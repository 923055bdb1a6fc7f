"""Lines are machine-readable: details follow as key=value."""

import logging

from k3py.util.log import LineFormatter


def test_extra_fields_follow_the_message_quoted_when_needed():
    record = logging.makeLogRecord({"name": "k3py.server.listener", "levelname": "INFO", "msg": "listening"})
    record.port = 6443
    record.why = "two words"
    line = LineFormatter().format(record)
    assert line.endswith('INFO server.listener listening port=6443 why="two words"')

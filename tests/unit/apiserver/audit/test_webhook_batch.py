"""Events go in batches; a webhook that fails gets them again, one that is too slow loses some."""

import asyncio

from k3py.apiserver.audit.webhook_batch import BatchSettings, WebhookBatch
from k3py.apiserver.review_webhook import ReviewWebhook
from k3py.client.kubeconfig import load_kubeconfig
from k3py.util.supervise import TaskScope
from tests.support.https_answers import run_answers, write_webhook_kubeconfig
from tests.support.throwaway_pki import make_pki


async def test_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("k3py.apiserver.review_webhook._PAUSE_S", 0.0)
    make_pki(tmp_path)
    fails = [503, 503, 503, 400]
    got = asyncio.Event()

    def answer(_path, body):
        if fails:
            return fails.pop(), {}
        if sum(len(one["items"]) for _, one, _ in server.requests[4:]) >= 5:
            got.set()
        return 200, {}

    async with run_answers(tmp_path, answer) as server, TaskScope() as scope:
        webhook = ReviewWebhook(load_kubeconfig(write_webhook_kubeconfig(tmp_path, server.url)), name="audit")
        settings = BatchSettings(most_buffered=5, most_events=2, longest_wait_s=0.01, pause_s=0.0)
        batch = WebhookBatch(webhook, settings)
        for number in range(7):
            batch.take(b'{"n":%d}' % number)
        _ = scope.spawn(batch.run(lambda: None), name="batch")
        async with asyncio.timeout(30):
            await got.wait()
        scope.cancel()
    sent = [body for _, body, _ in server.requests[4:]]
    assert all(one["kind"] == "EventList" for one in sent)
    numbers = [[event["n"] for event in one["items"]] for one in sent]
    assert numbers[:3] == [[0, 1], [2, 3], [4]]  # 5 and 6 had no room
    assert all(one == [4] for one in numbers[3:])  # sent again rather than lost, when it ends before the answer


async def test_the_rest_is_sent_at_the_end(tmp_path):
    make_pki(tmp_path)
    async with run_answers(tmp_path, lambda path, body: (200, {})) as server:
        webhook = ReviewWebhook(load_kubeconfig(write_webhook_kubeconfig(tmp_path, server.url)), name="audit")
        batch = WebhookBatch(webhook, BatchSettings())
        async with TaskScope() as scope:
            _ = scope.spawn(batch.run(lambda: None), name="batch")
            await asyncio.sleep(0)
            batch.take(b'{"n":1}')
            await asyncio.sleep(0)
            scope.cancel()
    [(_, body, _)] = server.requests
    assert body["items"] == [{"n": 1}]

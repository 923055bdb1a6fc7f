// One screen: nodes, what waits and why, storage and wear, the last warnings.
import { html, useEffect, useState } from "../lib/html.js";
import { judgePod } from "../lib/reasons.js";
import { age, bytes, readMetrics } from "../lib/words.js";
import { addressOf, Live, useTable } from "./list.js";

const WARNINGS = 12;

export function Overview({ client, kinds }) {
  const find = (plural, group = "") => kinds.find((kind) => kind.plural === plural && kind.group === group);
  return html`
    <h1>Overview</h1>
    <div class="cards">
      <${Nodes} client=${client} kind=${find("nodes")} />
      <${Pods} client=${client} kind=${find("pods")} />
      <${Storage} client=${client} />
    </div>
    <${Warnings} client=${client} />
  `;
}

function Nodes({ client, kind }) {
  const table = useTable(client, "/api/v1/nodes", { whole: true });
  return html`<section class="card" aria-labelledby="nodes">
    <h2 id="nodes">Nodes</h2>
    <${Faults} table=${table} />
    <ul class="plain">
      ${table?.rows.map(({ uid, object }) => html`<${NodeLine} key=${uid} client=${client} kind=${kind} node=${object} />`)}
    </ul>
  </section>`;
}

function NodeLine({ client, kind, node }) {
  const [summary, setSummary] = useState(null);
  const { name } = node.metadata;
  useEffect(() => {
    const stop = new AbortController();
    client
      .json(`/api/v1/nodes/${encodeURIComponent(name)}/proxy/stats/summary`, { signal: stop.signal })
      .then((answer) => setSummary(answer.node), () => setSummary(null)); // no right to see it, or the node is away
    return () => stop.abort();
  }, [name]);
  const troubles = (node.status.conditions || []).filter((one) =>
    one.type === "Ready" ? one.status !== "True" : one.status === "True",
  );
  const ready = !troubles.some((one) => one.type === "Ready");
  return html`<li>
    <p><span class=${ready ? "dot good" : "dot bad"} aria-hidden="true"></span>
      <a href=${addressOf(kind, node.metadata)}>${name}</a> ${ready ? "Ready" : "not Ready"}${node.spec.unschedulable ? ", cordoned" : ""},
      ${" "}${node.status.nodeInfo?.kubeletVersion}</p>
    ${troubles.map((one) => html`<p class="why">${one.reason}: ${one.message}</p>`)}
    ${summary &&
    html`<${Meter} label="memory" used=${summary.memory?.workingSetBytes} total=${total(summary.memory)} />
      <${Meter} label="disk" used=${summary.fs?.usedBytes} total=${summary.fs?.capacityBytes} />`}
  </li>`;
}

const total = (memory) => (memory?.availableBytes === undefined ? undefined : memory.availableBytes + memory.workingSetBytes);

function Meter({ label, used, total: whole }) {
  if (used === undefined || !whole) return null;
  return html`<label class="meter"><span>${label}: ${bytes(used)} of ${bytes(whole)}</span>
    <meter min="0" max=${whole} high=${whole * 0.85} optimum="0" value=${used}></meter></label>`;
}

function Pods({ client, kind }) {
  const table = useTable(client, "/api/v1/pods", { whole: true });
  const judged = (table?.rows || []).map(({ uid, object }) => ({ uid, object, ...judgePod(object) }));
  const counts = new Map();
  for (const { state } of judged) counts.set(state, (counts.get(state) || 0) + 1);
  const waiting = judged.filter((one) => one.why);
  return html`<section class="card" aria-labelledby="pods">
    <h2 id="pods">Pods</h2>
    <${Faults} table=${table} />
    ${table && !judged.length && html`<p class="note">No pods.</p>`}
    ${judged.length > 0 &&
    html`<dl class="counts">${[...counts].sort().map(([state, count]) => html`<div><dt>${state}</dt><dd>${count}</dd></div>`)}</dl>`}
    ${waiting.length > 0 && html`<h3>What waits, and why</h3>`}
    <ul class="plain">
      ${waiting.map(
        ({ uid, object, why }) => html`<li key=${uid}>
          <a href=${addressOf(kind, object.metadata)}>${object.metadata.namespace}/${object.metadata.name}</a>
          <p class="why">${why}</p>
        </li>`,
      )}
    </ul>
  </section>`;
}

function Storage({ client }) {
  const [metrics, setMetrics] = useState(null);
  const [fault, setFault] = useState("");
  const read = () =>
    client.text("/metrics").then(
      (text) => {
        setMetrics(readMetrics(text));
        setFault("");
      },
      (error) => setFault(error.message),
    );
  useEffect(() => {
    read();
  }, []);
  const hours = metrics ? (Date.now() / 1000 - metrics.get("process_start_time_seconds")) / 3600 : 0;
  const written = metrics?.get("k3py_process_written_bytes_total");
  return html`<section class="card" aria-labelledby="storage">
    <h2 id="storage">Storage and wear</h2>
    ${fault && html`<p class="note">Not shown: ${fault}</p>`}
    ${metrics &&
    html`<dl class="facts">
      <dt>Datastore</dt><dd>${bytes(metrics.get("apiserver_storage_size_bytes"))}</dd>
      <dt>Objects</dt><dd>${metrics.get("apiserver_storage_objects")}</dd>
      <dt>Written by this server</dt><dd>${bytes(written)} in ${hours.toFixed(1)} h</dd>
      <dt>That is</dt><dd>${hours > 0.02 ? `${bytes(written / hours)} an hour` : "too early to say"}</dd>
      <dt>Memory of this server</dt><dd>${bytes(metrics.get("process_resident_memory_bytes"))}</dd>
    </dl>`}
    <button onClick=${read}>Read again</button>
  </section>`;
}

function Warnings({ client }) {
  const table = useTable(client, "/api/v1/events", { whole: true, query: "fieldSelector=type%3DWarning" });
  const stamp = (event) => event.series?.lastObservedTime || event.lastTimestamp || event.eventTime || event.metadata.creationTimestamp;
  const events = (table?.rows || []).map((row) => row.object).sort((a, b) => (stamp(a) > stamp(b) ? -1 : 1));
  return html`<section class="card" aria-labelledby="warnings">
    <h2 id="warnings">Warnings</h2>
    <${Faults} table=${table} />
    ${table && !events.length && html`<p class="note">None in the last hour.</p>`}
    <ul class="plain">
      ${events.slice(0, WARNINGS).map(
        (event) => html`<li key=${event.metadata.uid}>
          <p><strong>${event.reason}</strong> ${event.involvedObject.kind} ${event.involvedObject.namespace || ""}/${event.involvedObject.name},
            ${" "}${age(stamp(event))} ago${event.count > 1 ? `, ${event.count} times` : ""}</p>
          <p class="why">${event.message}</p>
        </li>`,
      )}
    </ul>
  </section>`;
}

function Faults({ table }) {
  if (!table) return html`<p class="note" role="status">Reading …</p>`;
  return html`${table.fault && html`<p class="fault" role="alert">${table.fault}</p>`}${!table.live && html`<p class="note"><${Live} table=${table} /></p>`}`;
}

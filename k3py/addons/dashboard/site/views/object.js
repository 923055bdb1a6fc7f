// One object: what it says, its YAML to edit, its events; logs and a terminal for pods.
import { html, useEffect, useState } from "../lib/html.js";
import { pathOf } from "../lib/client.js";
import { judgePod } from "../lib/reasons.js";
import { addressOf, Table, useTable } from "./list.js";
import { Editor } from "./editor.js";
import { Logs } from "./logs.js";
import { Terminal } from "./terminal.js";

export function ObjectView({ client, kind, namespace, name, tab }) {
  const path = pathOf(kind, namespace, name);
  const isPod = kind.plural === "pods" && !kind.group;
  const table = useTable(client, pathOf(kind, namespace), {
    whole: true,
    query: `fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`,
  });
  const object = table?.rows[0]?.object;
  const tabs = [["", "Summary"], ["yaml", "YAML"], ["events", "Events"], ...(isPod ? [["logs", "Logs"], ["terminal", "Terminal"]] : [])];
  const metadata = { namespace, name };
  let body = html`<p class="note" role="status">Reading …</p>`;
  if (table && !object) body = html`<p class="note" role="status">${table.fault || "It is gone."}</p>`;
  if (tab === "yaml") body = html`<${Editor} client=${client} path=${path} gone=${table && !object} />`;
  else if (tab === "events") body = html`<${Events} client=${client} kind=${kind} metadata=${metadata} />`;
  else if (object && tab === "logs") body = html`<${Logs} client=${client} path=${path} pod=${object} />`;
  else if (object && tab === "terminal") body = html`<${Terminal} client=${client} path=${path} pod=${object} />`;
  else if (object) body = html`<${Summary} kind=${kind} object=${object} table=${table} isPod=${isPod} />`;
  return html`
    <p class="path"><a href=${`#/list/${kind.group || "core"}/${kind.plural}`}>${kind.kind}s</a> ${namespace && `/ ${namespace}`}</p>
    <h1>${name}</h1>
    <nav class="tabs" aria-label="Parts of this object">
      <ul>
        ${tabs.map(
          ([id, title]) => html`<li><a href=${addressOf(kind, metadata, id)} aria-current=${id === tab ? "page" : undefined}>${title}</a></li>`,
        )}
        <li><${Delete} client=${client} path=${path} kind=${kind} name=${name} /></li>
      </ul>
    </nav>
    ${body}
  `;
}

function Summary({ kind, object, table, isPod }) {
  const { metadata } = object;
  const judged = isPod ? judgePod(object) : null;
  const facts = table.columns
    .map((column, index) => [column.name, table.rows[0].cells[index]])
    .filter(([title, cell]) => title !== "Name" && title !== "Age" && cell !== "" && cell !== null && cell !== undefined);
  return html`
    ${judged?.why && html`<p class="fault" role="status">${judged.why}</p>`}
    <dl class="facts">
      ${facts.map(([title, cell]) => html`<dt>${title}</dt><dd>${`${cell}`}</dd>`)}
      <dt>Created</dt><dd>${metadata.creationTimestamp}</dd>
      ${(metadata.ownerReferences || []).map((owner) => html`<dt>Belongs to</dt><dd>${owner.kind} ${owner.name}</dd>`)}
    </dl>
    <${Pairs} title="Labels" pairs=${metadata.labels} />
    <${Pairs} title="Annotations" pairs=${metadata.annotations} />
    ${object.status?.conditions && html`<${Conditions} conditions=${object.status.conditions} />`}
    ${isPod && html`<${Containers} pod=${object} />`}
    ${!isPod && kind.group === "apps" && html`<p><a href="#/list/core/pods">All pods</a></p>`}
  `;
}

function Pairs({ title, pairs }) {
  const entries = Object.entries(pairs || {}).filter(([key]) => key !== "kubectl.kubernetes.io/last-applied-configuration");
  if (!entries.length) return null;
  return html`<h2>${title}</h2>
    <ul class="pairs">${entries.sort().map(([key, value]) => html`<li><code>${key}=${value}</code></li>`)}</ul>`;
}

function Conditions({ conditions }) {
  return html`<h2>Conditions</h2>
    <div class="scroll"><table>
      <thead><tr><th scope="col">Type</th><th scope="col">Status</th><th scope="col">Reason</th><th scope="col">Message</th></tr></thead>
      <tbody>${conditions.map(
        (one) => html`<tr><th scope="row" data-label="Type">${one.type}</th><td data-label="Status">${one.status}</td>
          <td data-label="Reason">${one.reason}</td><td data-label="Message" class="why">${one.message}</td></tr>`,
      )}</tbody>
    </table></div>`;
}

function Containers({ pod }) {
  const states = new Map(
    [...(pod.status.initContainerStatuses || []), ...(pod.status.containerStatuses || [])].map((one) => [one.name, one]),
  );
  const all = [...(pod.spec.initContainers || []).map((one) => ({ ...one, init: true })), ...pod.spec.containers];
  return html`<h2>Containers</h2>
    <div class="scroll"><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Image</th><th scope="col">State</th><th scope="col">Restarts</th></tr></thead>
      <tbody>${all.map((one) => {
        const status = states.get(one.name);
        const [state, detail] = Object.entries(status?.state || { waiting: {} })[0];
        return html`<tr><th scope="row" data-label="Name">${one.name}${one.init ? " (init)" : ""}</th><td data-label="Image">${one.image}</td>
          <td data-label="State">${state} ${detail.reason || ""} ${state === "running" && !one.init && !status.ready ? "(not ready)" : ""}</td>
          <td data-label="Restarts">${status?.restartCount ?? 0}</td></tr>`;
      })}</tbody>
    </table></div>`;
}

function Events({ client, kind, metadata }) {
  const selector = `involvedObject.kind=${kind.kind},involvedObject.name=${metadata.name}`;
  const namespace = metadata.namespace || "default";
  const table = useTable(client, `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`, {
    query: `fieldSelector=${encodeURIComponent(selector)}`,
  });
  const events = { group: "", version: "v1", plural: "events", kind: "Event", namespaced: true };
  return html`<${Table} table=${table} kind=${events} />`;
}

function Delete({ client, path, kind, name }) {
  const [asked, setAsked] = useState(false);
  const [fault, setFault] = useState("");
  useEffect(() => setAsked(false), [path]);
  const remove = async () => {
    try {
      await client.request(path, {
        method: "DELETE",
        body: JSON.stringify({ apiVersion: "v1", kind: "DeleteOptions", propagationPolicy: "Background" }),
        headers: { "Content-Type": "application/json" },
      });
      setAsked(false);
    } catch (error) {
      setFault(error.message);
    }
  };
  if (!asked) return html`<button class="risky" onClick=${() => setAsked(true)}>Delete …</button>`;
  return html`<span role="group" aria-label="Delete?">
    <button class="risky" onClick=${remove}>Really delete ${kind.kind} ${name}</button> <button onClick=${() => setAsked(false)}>Keep it</button>
    ${fault && html`<span class="fault" role="alert">${fault}</span>`}
  </span>`;
}

// A live table of one kind, with the columns that kubectl shows; pods say why they wait.
import { html, useEffect, useMemo, useState } from "../lib/html.js";
import { pathOf } from "../lib/client.js";
import { judgePod } from "../lib/reasons.js";
import { age } from "../lib/words.js";

const SHOWN_AT_ONCE = 200;

/** Follow a table while the component is there. */
export function useTable(client, path, { query = "", whole = false } = {}) {
  const [table, setTable] = useState(null);
  useEffect(() => {
    const stop = new AbortController();
    let latest = null;
    let frame = 0;
    const onChange = (state) => {
      latest = state;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setTable(latest);
      });
    };
    client.followTable(path, { query, whole, signal: stop.signal, onChange });
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, [path, query]);
  return table;
}

/** Address of an object's page. */
export function addressOf(kind, metadata, tab = "") {
  const parts = ["object", kind.group || "core", kind.plural, metadata.namespace || "-", metadata.name];
  return `#/${[...parts, tab].filter(Boolean).map(encodeURIComponent).join("/")}`;
}

export function ResourceList({ client, kind, namespace }) {
  const isPods = kind.plural === "pods" && !kind.group;
  const table = useTable(client, pathOf(kind, kind.namespaced ? namespace : ""), { whole: isPods });
  return html`
    <h1>${kind.kind}s ${kind.namespaced && namespace ? html`<small>in ${namespace}</small>` : ""}</h1>
    <${Table} table=${table} kind=${kind} withNamespace=${kind.namespaced && !namespace} judge=${isPods ? judgePod : null} />
  `;
}

export function Table({ table, kind, withNamespace, judge }) {
  const [filter, setFilter] = useState("");
  const [most, setMost] = useState(SHOWN_AT_ONCE);
  const columns = useMemo(
    () => (table?.columns || []).map((column, index) => ({ ...column, index })).filter((column) => !column.priority),
    [table?.columns],
  );
  if (!table) return html`<p class="note" role="status">Reading …</p>`;
  const wanted = filter.toLowerCase();
  const keyOf = ({ object: { metadata } }) => `${metadata.namespace || ""}/${metadata.name}`;
  const rows = table.rows
    .filter((row) => !wanted || keyOf(row).includes(wanted) || row.cells.some((cell) => `${cell}`.toLowerCase().includes(wanted)))
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return html`
    <div class="tools">
      <label>Filter <input type="search" value=${filter} onInput=${(event) => setFilter(event.target.value)} /></label>
      <span role="status">${rows.length} of ${table.rows.length} · <${Live} table=${table} /></span>
    </div>
    ${table.fault && html`<p class="fault" role="alert">${table.fault}</p>`}
    <div class="scroll">
      <table>
        <thead>
          <tr>
            ${withNamespace && html`<th scope="col">Namespace</th>`}
            ${columns.map((column) => html`<th scope="col" title=${column.description}>${column.name}</th>`)}
            ${judge && html`<th scope="col">Why</th>`}
          </tr>
        </thead>
        <tbody>
          ${rows.slice(0, most).map((row) => html`<${Row} key=${row.uid} ...${{ row, kind, columns, withNamespace, judge }} />`)}
        </tbody>
      </table>
    </div>
    ${!rows.length && html`<p class="note">None.</p>`}
    ${rows.length > most && html`<button onClick=${() => setMost(most * 2)}>Show more</button>`}
  `;
}

function Row({ row, kind, columns, withNamespace, judge }) {
  const { metadata } = row.object;
  const why = judge?.(row.object).why;
  return html`<tr class=${why ? "waits" : ""}>
    ${withNamespace && html`<td data-label="Namespace">${metadata.namespace}</td>`}
    ${columns.map((column) => {
      const cell = row.cells[column.index];
      const name = column.name;
      if (name === "Name")
        return html`<th scope="row" data-label=${name}><a href=${addressOf(kind, metadata)}>${metadata.name}</a></th>`;
      return html`<td data-label=${name}>${name === "Age" && metadata.creationTimestamp ? age(metadata.creationTimestamp) : `${cell ?? ""}`}</td>`;
    })}
    ${judge && html`<td data-label="Why" class="why">${why}</td>`}
  </tr>`;
}

export function Live({ table }) {
  return table.live ? html`<span class="live">live</span>` : html`<span class="stale">not connected, trying again</span>`;
}

// Everything the server knows, custom resources too.
import { html } from "../lib/html.js";

export function Catalogue({ kinds }) {
  const groups = Map.groupBy ? Map.groupBy(kinds, (kind) => kind.group) : groupBy(kinds);
  return html`
    <h1>All kinds</h1>
    ${[...groups].map(
      ([group, members]) => html`<section key=${group}>
        <h2>${group || "core"}</h2>
        <ul class="kinds">
          ${members
            .filter((kind) => kind.verbs.includes("list"))
            .map((kind) => html`<li><a href=${`#/list/${group || "core"}/${kind.plural}`}>${kind.kind}</a></li>`)}
        </ul>
      </section>`,
    )}
  `;
}

function groupBy(kinds) {
  const groups = new Map();
  for (const kind of kinds) groups.set(kind.group, [...(groups.get(kind.group) || []), kind]);
  return groups;
}

// Signs people in, keeps the frame of the page and chooses the view by the part of the address after #.
import { html, render, useEffect, useState } from "./lib/html.js";
import { Client } from "./lib/client.js";
import { Catalogue } from "./views/catalogue.js";
import { Login } from "./views/login.js";
import { ObjectView } from "./views/object.js";
import { Overview } from "./views/overview.js";
import { ResourceList } from "./views/list.js";

const SHORTCUTS = [
  ["Nodes", "nodes", ""],
  ["Pods", "pods", ""],
  ["Deployments", "deployments", "apps"],
  ["StatefulSets", "statefulsets", "apps"],
  ["DaemonSets", "daemonsets", "apps"],
  ["Jobs", "jobs", "batch"],
  ["CronJobs", "cronjobs", "batch"],
  ["Services", "services", ""],
  ["Claims", "persistentvolumeclaims", ""],
  ["Events", "events", ""],
];

function readAddress() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

function App() {
  const [client] = useState(() => new Client(() => setUser("")));
  const [user, setUser] = useState(null); // null = not known yet, "" = nobody
  const [kinds, setKinds] = useState(null);
  const [address, setAddress] = useState(readAddress());
  const [namespace, setNamespace] = useState("");
  const [menu, setMenu] = useState(false);

  useEffect(() => {
    const moved = () => {
      setAddress(readAddress());
      setMenu(false);
      document.getElementById("content")?.focus({ preventScroll: true });
      scrollTo(0, 0);
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => {
    if (client.token) client.signIn(client.token).then(setUser, () => client.signOut());
    else setUser("");
  }, []);
  useEffect(() => {
    if (user) client.discover().then(setKinds, () => setKinds([]));
    else setKinds(null);
  }, [user]);

  if (user === null) return html`<p class="note" role="status">Signing in …</p>`;
  if (!user) return html`<${Login} client=${client} onSignedIn=${setUser} />`;
  const [what, group, plural, ...more] = address.parts;
  const kind = kinds?.find((one) => one.group === (group === "core" ? "" : group) && one.plural === plural);
  let view = html`<p class="note" role="status">Reading what the server offers …</p>`;
  if (kinds) {
    if (!what) view = html`<${Overview} client=${client} kinds=${kinds} />`;
    else if (what === "kinds") view = html`<${Catalogue} kinds=${kinds} />`;
    else if (!kind) view = html`<p class="fault" role="alert">This server has no ${plural || what}.</p>`;
    else if (what === "list")
      view = html`<${ResourceList} key=${`${group}/${plural}/${namespace}`} client=${client} kind=${kind} namespace=${namespace} />`;
    else if (what === "object")
      view = html`<${ObjectView}
        key=${more.slice(0, 2).join("/")}
        client=${client}
        kind=${kind}
        namespace=${more[0] === "-" ? "" : more[0]}
        name=${more[1]}
        tab=${more[2] || ""}
      />`;
    else view = html`<p class="fault" role="alert">There is no page ${what}.</p>`;
  }
  return html`
    <a class="skip" href="#content" onClick=${(event) => {
      event.preventDefault();
      document.getElementById("content").focus();
    }}>Skip to the content</a>
    <header>
      <button class="burger" aria-expanded=${menu} aria-controls="menu" onClick=${() => setMenu(!menu)}>Menu</button>
      <a class="brand" href="#/">k3py</a>
      ${kinds && html`<${NamespaceChoice} client=${client} value=${namespace} onChange=${setNamespace} />`}
      <span class="user" title="signed in as">${user}</span>
      <button onClick=${() => client.signOut()}>Sign out</button>
    </header>
    <nav id="menu" class=${menu ? "open" : ""} aria-label="Views">
      <ul>
        <li><a href="#/" aria-current=${what ? undefined : "page"}>Overview</a></li>
        ${SHORTCUTS.map(
          ([title, name, itsGroup]) => html`<li>
            <a
              href=${`#/list/${itsGroup || "core"}/${name}`}
              aria-current=${plural === name && group === (itsGroup || "core") ? "page" : undefined}
              >${title}</a
            >
          </li>`,
        )}
        <li><a href="#/kinds" aria-current=${what === "kinds" ? "page" : undefined}>All kinds</a></li>
      </ul>
    </nav>
    <main id="content" tabindex="-1">${view}</main>
  `;
}

function NamespaceChoice({ client, value, onChange }) {
  const [names, setNames] = useState([]);
  useEffect(() => {
    const stop = new AbortController();
    client.followTable("/api/v1/namespaces", {
      signal: stop.signal,
      onChange: ({ rows }) => setNames(rows.map((row) => row.object.metadata.name).sort()),
    });
    return () => stop.abort();
  }, []);
  return html`<label class="namespace">
    <span>Namespace</span>
    <select value=${value} onChange=${(event) => onChange(event.target.value)}>
      <option value="">all</option>
      ${names.map((name) => html`<option value=${name}>${name}</option>`)}
    </select>
  </label>`;
}

render(html`<${App} />`, document.getElementById("app"));

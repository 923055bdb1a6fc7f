// Talks to the API of the server that this page came from, with the token of whoever looks.

const KEPT_AS = "k3py-token"; // in sessionStorage: gone with the tab
const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** What the server answered when it was not what was asked for. */
export class ApiFault extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Client {
  constructor(onSignedOut) {
    this.onSignedOut = onSignedOut;
    this.token = sessionStorage.getItem(KEPT_AS) || "";
  }

  /** Try a token; returns the user's name. Throws ApiFault 401. */
  async signIn(token) {
    this.token = token.trim();
    const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
    const answer = await this.json("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
      method: "POST",
      body: JSON.stringify(review),
      headers: { "Content-Type": "application/json" },
      login: true,
    });
    sessionStorage.setItem(KEPT_AS, this.token);
    return answer.status.userInfo.username;
  }

  signOut() {
    this.token = "";
    sessionStorage.removeItem(KEPT_AS);
    this.onSignedOut();
  }

  /** fetch with the token; throws ApiFault for any answer that is not 2xx, TypeError when there is none. */
  async request(path, { login = false, headers = {}, ...options } = {}) {
    const answer = await fetch(path, {
      ...options,
      headers: { ...headers, Authorization: `Bearer ${this.token}` },
      credentials: "omit",
      redirect: "error",
    });
    if (answer.ok) return answer;
    const text = await answer.text();
    if (answer.status === 401 && !login) this.signOut();
    throw new ApiFault(answer.status, messageOf(text) || `${answer.status} ${answer.statusText}`);
  }

  async json(path, options) {
    return (await this.request(path, options)).json();
  }

  async text(path, options) {
    return (await this.request(path, options)).text();
  }

  /** All kinds that are served, preferred versions: [{group, version, plural, kind, namespaced, verbs, shortNames}]. */
  async discover() {
    const documents = await Promise.all(
      ["/api", "/apis"].map((path) => this.json(path, { headers: { Accept: DISCOVERY } })),
    );
    const found = [];
    for (const group of documents.flatMap((one) => one.items)) {
      const seen = new Set();
      for (const version of group.versions)
        for (const one of version.resources || [])
          if (!seen.has(one.resource)) {
            seen.add(one.resource);
            found.push({
              group: group.metadata.name || "",
              version: version.version,
              plural: one.resource,
              kind: one.responseKind.kind,
              namespaced: one.scope === "Namespaced",
              verbs: one.verbs,
              shortNames: one.shortNames || [],
            });
          }
    }
    return found;
  }

  /**
   * Keep a table of objects up to date until `signal` aborts. `onChange({columns, rows, live, fault})` comes after each change;
   * rows are {uid, cells, object}. A broken watch starts again, at first at once, then with growing pauses.
   */
  async followTable(path, { query = "", whole = false, signal, onChange }) {
    const extra = `${query ? `&${query}` : ""}${whole ? "&includeObject=Object" : ""}`;
    const state = { columns: [], rows: new Map(), live: false, fault: null };
    const show = () => onChange({ ...state, rows: [...state.rows.values()] });
    for (let pause = 0; !signal.aborted; pause = Math.min(pause * 2 + 500, 15000)) {
      try {
        await rest(pause, signal);
        const table = await this.json(`${path}?limit=0${extra}`, { headers: { Accept: TABLE }, signal });
        state.columns = table.columnDefinitions;
        state.rows = new Map(table.rows.map((row) => [row.object.metadata.uid, toRow(row)]));
        state.fault = null;
        state.live = true;
        show();
        let version = table.metadata.resourceVersion;
        for (;;) {
          version = await this.followEvents(path, extra, version, state, show, signal);
          pause = 0;
        }
      } catch (fault) {
        if (signal.aborted) return;
        state.live = false;
        if (!(fault instanceof ApiFault && fault.code === 410)) state.fault = fault.message;
        show();
        if (fault.code === 401 || fault.code === 403 || fault.code === 404) return;
      }
    }
  }

  async followEvents(path, extra, since, state, show, signal) {
    let version = since;
    const answer = await this.request(
      `${path}?watch=1&allowWatchBookmarks=true&resourceVersion=${version}${extra}`,
      { headers: { Accept: TABLE }, signal },
    );
    for await (const lines of readLines(answer.body)) {
      let changed = false;
      for (const line of lines) {
        const { type, object } = JSON.parse(line);
        if (type === "ERROR") throw new ApiFault(object.code, object.message);
        const row = object.kind === "Table" ? object.rows?.[0] : null;
        const metadata = row?.object?.metadata || object.metadata;
        version = metadata?.resourceVersion || version;
        if (type === "BOOKMARK" || !row) continue;
        changed = true;
        if (type === "DELETED") state.rows.delete(metadata.uid);
        else state.rows.set(metadata.uid, toRow(row));
      }
      if (changed) show();
    }
    return version;
  }

  /** Hand each line of a log to `onLines` until it ends or `signal` aborts. */
  async followLog(path, { signal, onLines }) {
    const answer = await this.request(path, { signal });
    for await (const lines of readLines(answer.body)) onLines(lines);
  }

  /** Open an upgraded connection; the token goes as a subprotocol, since browsers let nobody set a header. */
  webSocket(path, protocol) {
    const encoded = btoa(this.token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const url = new URL(path, location.href);
    url.protocol = "wss:";
    return new WebSocket(url, [protocol, `base64url.bearer.authorization.k8s.io.${encoded}`]);
  }
}

/** Path of a collection or an object. */
export function pathOf({ group, version, plural }, namespace = "", name = "") {
  const base = group ? `/apis/${group}/${version}` : `/api/${version}`;
  const inside = namespace ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${base}${inside}/${plural}${name ? `/${encodeURIComponent(name)}` : ""}`;
}

function toRow(row) {
  return { uid: row.object.metadata.uid, cells: row.cells, object: row.object };
}

function messageOf(text) {
  try {
    return JSON.parse(text).message;
  } catch {
    return text.slice(0, 300).trim();
  }
}

/** Yield arrays of whole lines, as many as came at once. */
async function* readLines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      if (rest) yield [rest];
      return;
    }
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    if (lines.length) yield lines;
  }
}

function rest(pauseMs, signal) {
  if (!pauseMs) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, pauseMs);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

// A shell in a container, over the same stream that kubectl exec uses (v5.channel.k8s.io).
import { html, useEffect, useRef, useState } from "../lib/html.js";

const PROTOCOL = "v5.channel.k8s.io";
const [STDIN, STDOUT, STDERR, FAULT, RESIZE] = [0, 1, 2, 3, 4];
const SHELL = "command -v bash >/dev/null 2>&1 && exec bash || exec sh";

export function Terminal({ client, path, pod }) {
  const running = (pod.status.containerStatuses || []).filter((one) => one.state?.running).map((one) => one.name);
  const [container, setContainer] = useState(running[0] || "");
  const [session, setSession] = useState(0);
  const [state, setState] = useState("");
  const place = useRef(null);

  useEffect(() => {
    if (!container || !session) return undefined;
    let end = () => {};
    let ended = false;
    open(client, path, container, place.current, setState).then((stop) => {
      if (ended) stop();
      else end = stop;
    }, (error) => setState(error.message));
    return () => {
      ended = true;
      end();
    };
  }, [path, container, session]);

  if (!running.length) return html`<p class="note" role="status">No container of this pod is running.</p>`;
  return html`
    <p class="tools">
      <label>Container <select value=${container} onChange=${(event) => setContainer(event.target.value)}>
        ${running.map((name) => html`<option value=${name}>${name}</option>`)}
      </select></label>
      <button onClick=${() => setSession(session + 1)}>${session ? "Open again" : "Open a shell"}</button>
      <span role="status">${state}</span>
    </p>
    <div class="terminal" ref=${place}></div>
  `;
}

/** Open a shell and show it in `place`; returns what ends it. */
async function open(client, path, container, place, tell) {
  tell("connecting …");
  const [{ Terminal: Screen }, { FitAddon }] = await Promise.all([import("../vendor/xterm.js"), import("../vendor/xterm_fit.js"), loadStyle()]);
  const screen = new Screen({ cursorBlink: true, screenReaderMode: true, fontSize: 14 });
  const fit = new FitAddon();
  screen.loadAddon(fit);
  place.replaceChildren();
  screen.open(place);
  fit.fit();
  const query = new URLSearchParams({ container, stdin: "true", stdout: "true", tty: "true" });
  for (const word of ["sh", "-c", SHELL]) query.append("command", word);
  const socket = client.webSocket(`${path}/exec?${query}`, PROTOCOL);
  socket.binaryType = "arraybuffer";
  const send = (channel, data) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const message = new Uint8Array(bytes.length + 1);
    message[0] = channel;
    message.set(bytes, 1);
    socket.send(message);
  };
  const resize = () => send(RESIZE, JSON.stringify({ Width: screen.cols, Height: screen.rows }));
  const watcher = new ResizeObserver(() => fit.fit());
  watcher.observe(place);
  screen.onData((data) => send(STDIN, data));
  screen.onResize(resize);
  let outcome = "ended";
  socket.onopen = () => {
    tell("connected");
    resize();
    screen.focus();
  };
  socket.onmessage = ({ data }) => {
    const message = new Uint8Array(data);
    if (message[0] === STDOUT || message[0] === STDERR) screen.write(message.subarray(1));
    else if (message[0] === FAULT) {
      const status = JSON.parse(new TextDecoder().decode(message.subarray(1)));
      outcome = status.status === "Success" ? "ended" : status.message;
    }
  };
  socket.onclose = ({ code }) => tell(code === 1006 && outcome === "ended" ? "the connection was refused or broke" : outcome);
  return () => {
    watcher.disconnect();
    socket.onclose = null;
    socket.close();
    screen.dispose();
    tell("");
  };
}

let style = null;

function loadStyle() {
  style ||= new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "vendor/xterm.css" });
    link.onload = resolve;
    link.onerror = () => reject(new Error("the terminal's style could not be read"));
    document.head.append(link);
  });
  return style;
}

// A container's output, live.
import { html, useEffect, useRef, useState } from "../lib/html.js";

const KEPT_LINES = 5000;

export function Logs({ client, path, pod }) {
  const names = [...pod.spec.containers, ...(pod.spec.initContainers || [])].map((one) => one.name);
  const [container, setContainer] = useState(names[0]);
  const [previous, setPrevious] = useState(false);
  const [lines, setLines] = useState([]);
  const [state, setState] = useState("");
  const [follow, setFollow] = useState(true);
  const box = useRef(null);

  useEffect(() => {
    const stop = new AbortController();
    setLines([]);
    setState("live");
    const query = new URLSearchParams({ container, tailLines: "500", ...(previous ? { previous: "true" } : { follow: "true" }) });
    client
      .followLog(`${path}/log?${query}`, {
        signal: stop.signal,
        onLines: (more) => setLines((all) => [...all, ...more].slice(-KEPT_LINES)),
      })
      .then(
        () => setState("ended"),
        (error) => stop.signal.aborted || setState(error.message),
      );
    return () => stop.abort();
  }, [path, container, previous]);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);

  return html`
    <p class="tools">
      <label>Container <select value=${container} onChange=${(event) => setContainer(event.target.value)}>
        ${names.map((name) => html`<option value=${name}>${name}</option>`)}
      </select></label>
      <label><input type="checkbox" checked=${previous} onChange=${(event) => setPrevious(event.target.checked)} /> of its last run</label>
      <label><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> keep to the end</label>
      <span role="status">${state}</span>
    </p>
    <pre class="log" ref=${box} role="log" aria-label="Output" tabindex="0">${lines.join("\n")}</pre>
  `;
}

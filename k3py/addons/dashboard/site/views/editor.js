// The object as YAML. A change is first shown as what the server would make of it (a dry run), line by line, and only then saved.
import { diffLines } from "../vendor/diff_line.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";

const YAML = "application/yaml";

export function Editor({ client, path, gone }) {
  const [stored, setStored] = useState(null);
  const [draft, setDraft] = useState("");
  const [preview, setPreview] = useState(null);
  const [note, setNote] = useState(null); // {text, bad}
  const area = useRef(null);

  const load = async () => {
    try {
      const text = withoutManagedFields(await client.text(path, { headers: { Accept: YAML } }));
      setStored(text);
      setDraft(text);
      setPreview(null);
    } catch (error) {
      setNote({ text: error.message, bad: true });
    }
  };
  useEffect(() => {
    load();
  }, [path]);

  const send = async (dryRun) => {
    setNote(null);
    try {
      const query = `?fieldValidation=Strict&fieldManager=k3py-dashboard${dryRun ? "&dryRun=All" : ""}`;
      const text = withoutManagedFields(
        await client.text(path + query, { method: "PUT", body: draft, headers: { "Content-Type": YAML, Accept: YAML } }),
      );
      if (dryRun) setPreview(diffLines(stored, text));
      else {
        setStored(text);
        setDraft(text);
        setPreview(null);
        setNote({ text: "Saved." });
      }
    } catch (error) {
      setPreview(null);
      setNote({ text: error.message, bad: true });
    }
  };

  if (stored === null) return html`<p class=${note ? "fault" : "note"} role="status">${note?.text || "Reading …"}</p>`;
  const changed = draft !== stored;
  return html`
    ${gone && html`<p class="fault" role="alert">This object is gone.</p>`}
    ${note && html`<p class=${note.bad ? "fault" : "note"} role=${note.bad ? "alert" : "status"}>${note.text}</p>`}
    <label class="block" for="yaml">YAML</label>
    <textarea
      id="yaml"
      ref=${area}
      spellcheck=${false}
      wrap="off"
      rows="24"
      value=${draft}
      onInput=${(event) => {
        setDraft(event.target.value);
        setPreview(null);
      }}
    ></textarea>
    <p class="tools">
      <button disabled=${!changed} onClick=${() => send(true)}>Show what would change</button>
      <button disabled=${!preview} onClick=${() => send(false)}>Save</button>
      <button disabled=${!changed} onClick=${() => setDraft(stored) || setPreview(null)}>Undo</button>
      <button onClick=${load}>Read again</button>
    </p>
    ${preview && html`<${Changes} parts=${preview} />`}
  `;
}

function Changes({ parts }) {
  const lines = parts.flatMap((part) => {
    const all = part.value.replace(/\n$/, "").split("\n");
    const shown = part.added || part.removed || all.length <= 6 ? all : [...all.slice(0, 3), "…", ...all.slice(-3)];
    const mark = part.added ? "+" : part.removed ? "-" : " ";
    return shown.map((text) => ({ mark, text }));
  });
  if (!parts.some((part) => part.added || part.removed)) return html`<p class="note" role="status">Nothing would change.</p>`;
  return html`<h2>What would change</h2>
    <pre class="diff" role="region" aria-label="Changes" tabindex="0">${lines.map(
      ({ mark, text }) => html`<span class=${mark === "+" ? "added" : mark === "-" ? "removed" : ""}>${mark} ${text}${"\n"}</span>`,
    )}</pre>`;
}

/** Leave out metadata.managedFields, which nobody edits: a block at one depth of indentation. */
function withoutManagedFields(text) {
  return text.replace(/^ {2}managedFields:\n(?: {2}- .*\n| {4,}.*\n)*/m, "");
}

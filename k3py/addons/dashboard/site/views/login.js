// Asks for a token. It stays in this tab and goes nowhere but to the server the page came from.
import { html, useState } from "../lib/html.js";

export function Login({ client, onSignedIn }) {
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const signIn = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFault("");
    try {
      onSignedIn(await client.signIn(new FormData(event.target).get("token")));
    } catch (error) {
      setFault(error.code === 401 ? "The server does not take this token: wrong, or expired." : error.message);
    } finally {
      setBusy(false);
    }
  };
  return html`<main class="login">
    <h1>k3py</h1>
    <form onSubmit=${signIn}>
      <label for="token">Token</label>
      <input id="token" name="token" type="password" required autocomplete="off" spellcheck=${false} autofocus />
      <button disabled=${busy}>${busy ? "Signing in …" : "Sign in"}</button>
      ${fault && html`<p class="fault" role="alert">${fault}</p>`}
    </form>
    <p>On a server, <code>k3py dashboard</code> prints one. Any bearer token of the cluster will do: what you may see and change is what the
      cluster's roles let its owner.</p>
  </main>`;
}

// The one door to the rendering library.
import { h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { useEffect, useMemo, useRef, useState } from "../vendor/preact_hooks.js";
export { render };
export const html = htm.bind(h);

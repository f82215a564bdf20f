// Questions to the person at the page: the key, and whether something shall really be done. Owns no answer.

import { $, setText, show } from "./dom.js";

/** Asks whether an execution shall be cancelled. */
export function confirmCancel(text) {
  const dialog = $("confirm");
  setText($("confirm-text"), text);
  return new Promise((resolve) => {
    const end = (answer) => () => {
      dialog.close();
      resolve(answer);
    };
    $("confirm-yes").onclick = end(true);
    $("confirm-no").onclick = end(false);
    // Esc says no.
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
    $("confirm-no").focus();
  });
}

/** Asks for a key; `use` is called with what was typed, and the dialog stays until the key is known to be good. */
export function askKey(wrong, use) {
  const dialog = $("ask-key");
  const input = $("key-input");
  setText($("key-error"), wrong ? "The server does not know this key." : "");
  input.setAttribute("aria-invalid", String(wrong));
  $("key-form").onsubmit = (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (key === "") {
      setText($("key-error"), "Type a key.");
      return;
    }
    use(key);
  };
  $("key-cancel").onclick = () => dialog.close();
  if (!dialog.open) {
    input.value = "";
    dialog.showModal();
  }
  input.focus();
  if (wrong) input.select();
}

/** The key was good. */
export function keyAccepted() {
  if ($("ask-key").open) $("ask-key").close();
  $("key-input").value = "";
  setText($("key-error"), "");
}

/** A line at the top of the page, or none. */
export function notice(text) {
  setText($("notice"), text);
  show($("notice"), text !== "");
}

// One dialog for all actions: it says what will happen, asks for what is needed, and shows what went wrong.
import { $, element, oneAtATime } from "./view.js";

/**
 * Ask before an action. `fields`: [{ name, label, value, options?, hint? }]. `act` gets the values,
 * and throws an Error with a sentence for the operator. Returns what `act` returns; null if the
 * operator decides against it. After an unclear answer the same button sends the same again.
 */
export function ask({ title, text, yes, fields = [], act }) {
  const dialog = $("dialog"), inputs = fields.map(inputOf);
  $("dialog-title").textContent = title;
  $("dialog-text").textContent = text;
  $("dialog-fields").replaceChildren(...fields.map((field, at) => rowOf(field, inputs[at])));
  $("dialog-yes").textContent = yes;
  $("dialog-error").textContent = "";
  return new Promise((resolve) => {
    let result = null;
    const send = oneAtATime($("dialog-yes"), async () => {
      $("dialog-error").textContent = "";
      try {
        result = await act(Object.fromEntries(fields.map(({ name }, at) => [name, inputs[at].value])));
        dialog.close();
      } catch (error) {
        $("dialog-error").textContent = error.message;
        if (error.action === "retry_same") $("dialog-error").append(" It is safe to send the same again.");
      }
    });
    $("dialog-form").onsubmit = send;
    // Closing while a request runs would hide its outcome.
    const runs = () => $("dialog-yes").hasAttribute("aria-disabled");
    $("dialog-no").onclick = () => runs() || dialog.close();
    dialog.oncancel = (event) => {
      if (runs()) event.preventDefault();
    };
    dialog.onclose = () => resolve(result);
    dialog.showModal();
  });
}

function inputOf({ name, value = "", options }) {
  const id = `field-${name}`;
  if (!options) return element("input", { id, value, autocomplete: "off", required: true });
  const select = element("select", { id });
  select.append(...options.map(([key, text]) => new Option(text, key, false, key === value)));
  return select;
}

function rowOf({ label, hint }, input) {
  const row = element("p", {}, element("label", { htmlFor: input.id }, label), input);
  if (hint) {
    const small = element("span", { className: "small", id: `${input.id}-hint` }, hint);
    input.setAttribute("aria-describedby", small.id);
    row.append(small);
  }
  return row;
}

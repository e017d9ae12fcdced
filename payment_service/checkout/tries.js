// The demo's buttons that cause failures on purpose.
import { explain } from "./messages.js";
import { oneAtATime } from "./pay.js";
import { $, status } from "./view.js";

const AT_ONCE = 5;

/** Wire the buttons: each requests the same order's PaymentIntent in a risky way. */
export function offerTries(askForPayment, note) {
  const tries = {
    "try-many": () => Promise.all(Array.from({ length: AT_ONCE }, () => askForPayment())),
    "try-lost": () => askForPayment({ fetch: losingTheFirst() }),
    "try-reload": () => location.reload(),
  };
  for (const [id, work] of Object.entries(tries)) {
    $(id).addEventListener("click", oneAtATime($(id), () => attempt($(id).textContent, work, note)));
  }
}

async function attempt(name, work, note) {
  note(name, { kind: "try" });
  try {
    await work();
    status("");
  } catch (error) {
    status(explain(error));
  }
}

// The service receives and answers the request, but the answer is lost on the way back.
function losingTheFirst() {
  let lost = false;
  return async (...request) => {
    const answer = await fetch(...request);
    if (lost) return answer;
    lost = true;
    await answer.text();
    throw new TypeError("The answer was lost on purpose.");
  };
}

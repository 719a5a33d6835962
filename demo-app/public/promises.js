// Runs the trials of the page “Try the promises”: sends the requests, and shows what came back.

const STACKS = ["ours", "memory-store"];
const FAILING = ["failing/ours", "failing/memory-store"];
const ITEMS = Array.from({ length: 20 }, (_, index) => index + 1);
const BETWEEN_LOOKS = 500; // milliseconds

const TRIALS = {
  async parallel({ report }) {
    await onEach(STACKS, begin);
    const answers = await onEach(STACKS, (stack) => Promise.all(ITEMS.map((item) => save(stack, item))));
    report("Answers that say “saved”", answers, (all) => ({ text: `${all.filter(isSaved).length} of ${all.length}` }));
    const sessions = await onEach(STACKS, begunSessionOf);
    report("Items in the session afterwards", sessions, ({ items }) => ({
      text: `kept ${items.length} of ${ITEMS.length}`,
      isKept: items.length === ITEMS.length,
    }));
    await onEach(STACKS, signOut);
  },

  async slow({ report }) {
    await onEach(STACKS, begin);
    await onEach(STACKS, copy);
    const answers = await onEach(STACKS, (stack) => meet(`${stack}/slow`, stack));
    report("The answer to the sign-out", answers, ([, signedOut]) => ({ text: quoted(signedOut) }));
    report("The answer to the slow request, after that", answers, ([slow]) => ({ text: quoted(slow) }));
    const sessions = await onEach(STACKS.map(copied), sessionOf);
    report("What the cookie from before opens", sessions, ({ isSignedIn }) => ({
      text: isSignedIn ? "signed in again" : "signed out",
      isKept: !isSignedIn,
    }));
    await onEach(STACKS.map(copied), signOut);
  },

  async failing({ report, tell }) {
    await onEach(FAILING, begin);
    const before = await onEach(FAILING, (stack) => save(stack, 1));
    report("The answer to the first item", before, (answer) => ({ text: quoted(answer) }));
    await ask("POST", "disk/fill");
    const during = await onEach(FAILING, (stack) => save(stack, 2));
    report("To the second, while the store takes no writes", during, (answer) => ({ text: quoted(answer) }));
    tell("The store takes no writes for ten seconds. Waiting for it …");
    while ((await ask("GET", "disk")).isFull) await pause(BETWEEN_LOOKS);
    const after = await onEach(FAILING, (stack) => save(stack, 3));
    report("To the third, ten seconds later, with no restart", after, (answer) => ({ text: quoted(answer) }));
    const sessions = await onEach(FAILING, begunSessionOf);
    const results = sessions.map(({ items }, index) => {
      const claimed = [before, during, after].filter((answers) => isSaved(answers[index])).length;
      return { text: `holds ${items.length} of ${claimed} “saved”`, isKept: items.length === claimed };
    });
    report("The session in the end", results, (result) => result);
    await onEach(FAILING, signOut);
  },

  async copied({ report }) {
    const opens = ({ isSignedIn }) => ({ text: isSignedIn ? "signed in" : "signed out" });
    const staysOut = (session) => ({ ...opens(session), isKept: !session.isSignedIn });
    await onEach(STACKS, begin);
    await onEach(STACKS, copy);
    report("The copy, while the owner is signed in", await onEach(STACKS.map(copied), begunSessionOf), opens);
    await onEach(STACKS, signOut);
    report("The copy, after the owner signed out", await onEach(STACKS.map(copied), sessionOf), staysOut);
    await onEach(STACKS, begin);
    await onEach(STACKS, copy);
    await onEach(STACKS, (stack) => meet(`${copied(stack)}/slow`, stack));
    report("The same, with a request of the thief’s under way", await onEach(STACKS.map(copied), sessionOf), staysOut);
    await onEach(STACKS.map(copied), signOut);
  },
};

/** One stack after the other: a browser's few connections are then the same to both. */
async function onEach(stacks, work) {
  const results = [];
  for (const stack of stacks) results.push(await work(stack));
  return results;
}

/** What each stack calls the session that the trial began there: the cookies are the same to all tabs. */
const begun = new Map();

async function begin(stack) {
  const answer = await ask("POST", `${stack}/begin`);
  if (answer.status !== 200) throw new Error(`a session could not be begun: ${quoted(answer)}.`);
  begun.set(stack, answer.visitor);
  begun.set(copied(stack), answer.visitor);
}

function save(stack, item) {
  return ask("POST", `${stack}/items/${item}`);
}

/** A slow request, and a sign-out that waits until that is under way; the slow one is over last. */
function meet(slow, stack) {
  return Promise.all([ask("POST", slow), ask("POST", `${stack}/sign-out-meanwhile`)]);
}

function copy(stack) {
  return ask("POST", `${stack}/copy`);
}

function copied(stack) {
  return `${stack}/copied`;
}

function signOut(stack) {
  return ask("POST", `${stack}/sign-out`);
}

async function sessionOf(stack) {
  const answer = await ask("GET", `${stack}/session`);
  if (answer.status !== 200) throw new Error(`the session could not be read: ${quoted(answer)}.`);
  if (answer.isSignedIn && answer.visitor !== begun.get(stack)) throw new Error(ANOTHER);
  return answer;
}

/** Where only a sign-out of another tab can have ended it. */
async function begunSessionOf(stack) {
  const session = await sessionOf(stack);
  if (!session.isSignedIn) throw new Error(ANOTHER);
  return session;
}

const ANOTHER =
  "this is not the session that the trial began. Does another tab run a trial? Then wait until that is over.";

async function ask(method, path) {
  const response = await fetch(`/promises/${path}`, { method }).catch(() => {
    throw new Error("the demo did not answer. See that it runs.");
  });
  const { status } = response;
  const answer = await response.json().catch(() => null);
  if (ANSWERS.some((key) => answer?.[key] !== undefined)) return { status, ...answer };
  throw new Error(
    `what answered, with status ${status}, was not the demo’s trials. ` +
      "See that the demo runs, and look at the proxy before it, if there is one.",
  );
}

/** One of these is in every answer of the trials. */
const ANSWERS = ["said", "isSignedIn", "isFull"];

function isSaved({ said }) {
  return said === "saved";
}

function quoted({ status, said }) {
  return `${status} “${said}”`;
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function element(name, attributes, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

/** What a trial shows itself with: a line of text, and a table that grows by a step at a time. */
function outcome(name) {
  const place = document.querySelector(`[data-outcome="${name}"]`);
  const status = place.querySelector("[role=status]");
  const heads = ["express-tokenizer", "MemoryStore"].map((text) => element("th", { scope: "col" }, text));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)));
  place.querySelector("table")?.remove();
  place.prepend(table);
  return {
    tell(text) {
      status.textContent = text;
    },
    /** A step: what `show` makes of each stack's result. Nothing but that result decides what stands there. */
    report(label, results, show) {
      const head = element("tr", {}, element("th", { scope: "rowgroup", colSpan: 2 }, label));
      table.append(element("tbody", {}, head, element("tr", {}, ...results.map((result) => cell(show(result))))));
    },
  };
}

function cell({ text, isKept }) {
  if (isKept === undefined) return element("td", {}, text);
  const spoken = element("span", { className: "unseen" }, isKept ? "Kept: " : "Not kept: ");
  return element("td", { className: isKept ? "kept" : "broken" }, spoken, text);
}

/** One trial at a time, of all tabs: their sessions have the same cookies. Without TLS, only localhost has locks. */
function alone({ tell }, work) {
  const begin = () => {
    tell("Running …");
    return work();
  };
  if (navigator.locks === undefined) return begin();
  tell("Waiting for the trial of another tab …");
  return navigator.locks.request("promises", begin);
}

async function run(name) {
  const shown = outcome(name);
  try {
    await alone(shown, () => TRIALS[name](shown));
    shown.tell("Done.");
  } catch (error) {
    shown.tell(`The trial could not go on: ${error.message}`);
  }
}

/** One trial of this tab at a time. */
let isRunning = false;

document.getElementById("no-script").remove();
for (const button of document.querySelectorAll("[data-trial]")) {
  button.disabled = false;
  button.addEventListener("click", async () => {
    if (isRunning) return;
    isRunning = true;
    // Not disabled: the button would lose the keyboard's focus.
    for (const each of document.querySelectorAll("[data-trial]")) each.ariaDisabled = "true";
    await run(button.dataset.trial);
    for (const each of document.querySelectorAll("[data-trial]")) each.ariaDisabled = null;
    isRunning = false;
  });
}

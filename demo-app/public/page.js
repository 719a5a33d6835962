// On every page: a form is sent once, however often its button is pressed, and a wide window shows what is folded.

let sent = new WeakSet();

document.addEventListener("submit", (event) => {
  if (sent.has(event.target)) event.preventDefault();
  sent.add(event.target);
});

// The way back may show the page as it was left.
addEventListener("pageshow", () => {
  sent = new WeakSet();
});

if (matchMedia("(min-width: 56rem)").matches) {
  for (const folded of document.querySelectorAll("details.wide-open")) folded.open = true;
}

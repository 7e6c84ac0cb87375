// What is sent to a console in one go: a paste, or a file. A console runs each line
// that it gets, so more than one is shown before; and it may have no flow control, so
// it can be sent slowly.

import { Until, ask, h, say } from "./dom";
import { count, size } from "./words";

const shownMax = 4000; // characters of a paste that are shown

export interface Sink {
  type(text: string): boolean; // false: nobody takes it
  waiting(): number; // bytes that have not left the browser
  report(text: string): void; // how it goes, to the bar
}

// A Pace is how long to wait behind each line, in ms.
const paces = [
  { value: "0", label: "as fast as it goes" },
  { value: "20", label: "20 ms after each line" },
  { value: "100", label: "100 ms after each line" },
  { value: "500", label: "half a second after each line" },
];

export class Sender {
  private now: Until | undefined;

  constructor(private readonly sink: Sink, private readonly paste: (text: string) => void) {}

  // offer pastes text: at once if it is part of one line, else after a look at it.
  async offer(text: string, what = "Paste"): Promise<void> {
    if (!text) return;
    const lines = text.replace(/\r?\n$/, "").split(/\r\n|\r|\n/).length;
    if (!/[\r\n]/.test(text) && text.length < 1024) {
      this.paste(text);
      return;
    }
    const pace = h("select", { id: "pace" }, ...paces.map((p) => h("option", { value: p.value }, p.label)));
    const body = h("div", {},
      h("p", {}, `${count(lines, "line")}, ${size(new TextEncoder().encode(text).length)}. The console gets every line as if it was typed, and Enter behind it.`),
      h("pre", { tabindex: 0, "aria-label": "What is sent" }, text.length > shownMax ? text.slice(0, shownMax) + "\n…" : text),
      h("p", { class: "field" }, h("label", { for: "pace" }, "Send"), pace));
    const does = await ask(`${what} ${count(lines, "line")}?`, body, [{ value: "", label: "Cancel" }, { value: "send", label: "Send", main: true }]);
    if (does !== "send") return;
    if (pace.value === "0" && text.length < 4096) this.paste(text);
    else await this.send(text, Number(pace.value));
  }

  get busy(): boolean {
    return this.now !== undefined;
  }

  stop(): void {
    this.now?.end();
  }

  // send types line after line, waits behind each, and for the browser to be rid of
  // what it was given.
  private async send(text: string, wait: number): Promise<void> {
    this.stop();
    const mine = (this.now = new Until());
    const lines = text.replace(/\r\n|\n/g, "\r").split(/(?<=\r)/);
    let sent = 0;
    for (const line of lines) {
      if (mine.signal.aborted || !this.sink.type(line)) break;
      sent++;
      this.sink.report(`sending: ${sent} of ${count(lines.length, "line")}`);
      do await new Promise((next) => setTimeout(next, wait)); while (this.sink.waiting() > 16384 && !mine.signal.aborted);
    }
    if (this.now === mine) this.now = undefined;
    this.sink.report(sent === lines.length ? `sent: ${count(sent, "line")}` : `stopped after ${sent} of ${count(lines.length, "line")}`);
  }

  // file asks for a file and sends its text.
  file(): void {
    const input = h("input", { type: "file" });
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) void file.text().then((text) => this.offer(text, `Send ${file.name}:`));
    });
    input.click();
  }
}

// pasteBox asks for text to be sent, where a keyboard can not paste.
export async function pasteBox(sender: Sender): Promise<void> {
  const text = h("textarea", { rows: 6, "aria-label": "Text to send", autofocus: true, spellcheck: "false", autocapitalize: "none" });
  if (await ask("Paste", text, [{ value: "", label: "Cancel" }, { value: "go", label: "Go on", main: true }]) === "go") await sender.offer(text.value);
}

// copied puts text into the clipboard, or says that it can not.
export async function copied(text: string, button?: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = h("textarea", { rows: 6, readonly: true, "aria-label": "Text to copy", autofocus: true }, text);
    await ask("Copy this", box, [{ value: "", label: "Done" }]);
    return false;
  }
  if (button) say(button, "Copied");
  return true;
}

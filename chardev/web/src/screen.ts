// The terminal: xterm.js, and what it takes to show a console in it that is not
// trusted, has a past and a place in it.

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { type IMarker, Terminal } from "@xterm/xterm";
import "./sheet";
import { Held } from "./held";
import { h } from "./dom";
import { openLink } from "./links";
import { dark, palette } from "./palette";
import { count, size } from "./words";

// heldMax is how many bytes are kept to be shown again, and scrollback how many lines
// the terminal keeps of them: what is older is in the log.
export const heldMax = 4 << 20;
const scrollback = 25_000;

// marksMax is how many places in the terminal have a marker that tells its offset; the
// terminal moves every one of them with each line that it drops.
const marksMax = 40;
const markEvery = 16 << 10; // bytes

interface Mark {
  marker: IMarker;
  offset: number;
}

// A Place is where a rewritten screen shows an offset: so many lines below its top, and
// with a flag that says what it is.
export interface Place {
  offset: number;
  below: number;
  flag?: string;
}

export type Size = "fit" | `${number}x${number}`;

export class Screen {
  readonly term: Terminal;
  readonly search = new SearchAddon();
  readonly held = new Held();
  // mayAnswer says whether the terminal may answer what a console asks it, like where
  // the cursor is: that is typed into the console.
  mayAnswer: () => boolean = () => false;
  // whyMissing is why there is a gap between two offsets, if that is known.
  whyMissing: (from: number, to: number) => string | undefined = () => undefined;
  private readonly fitting = new FitAddon();
  private decoder = newDecoder();
  private tail = ""; // an ESC at the end of what was decoded
  private marks: Mark[] = [];
  private written = 0; // writes given to the terminal,
  private done = 0; // those it is done with,
  private past = 0; // and up to which of them it shows the past
  private size: Size = "fit";

  constructor(readonly host: HTMLElement, options: { fontSize: number; screenReader: boolean }) {
    this.term = new Terminal({
      allowProposedApi: true, // decorations
      cursorBlink: false,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      fontSize: options.fontSize,
      lineHeight: 1.15,
      minimumContrastRatio: 4.5, // WCAG 2.2 section 1.4.3
      screenReaderMode: options.screenReader,
      scrollback,
      scrollOnEraseInDisplay: true, // a boot loader clears the screen, not the past
      macOptionIsMeta: true,
      rightClickSelectsWord: true,
      theme: palette(),
      linkHandler: { activate: (_, text) => openLink(text) },
    });
    this.term.loadAddon(this.fitting);
    this.term.loadAddon(this.search);
    this.term.loadAddon(new WebLinksAddon((_, uri) => openLink(uri)));
    this.guard();
  }

  open(): void {
    const place = h("div", { class: "place" });
    this.host.append(place);
    this.term.open(place);
    this.term.textarea?.setAttribute("aria-label", "Type into the console");
    this.term.textarea?.setAttribute("aria-describedby", "leaving");
    this.fit();
    dark.addEventListener("change", this.repaint);
    void this.accelerate();
  }

  close(): void {
    dark.removeEventListener("change", this.repaint);
    this.term.dispose();
  }

  private readonly repaint = (): void => {
    this.term.options.theme = palette();
  };

  // accelerate draws with the graphics card where there is one, on what is no phone:
  // there it costs more battery than it saves time. Without, or when it is taken away,
  // the page's elements do.
  private async accelerate(): Promise<void> {
    if (!matchMedia("(pointer: fine)").matches) return;
    const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
    const names = gl?.getExtension("WEBGL_debug_renderer_info");
    if (!gl || (names && /swiftshader|llvmpipe|software/i.test(String(gl.getParameter(names.UNMASKED_RENDERER_WEBGL))))) return; // a card that is made of the processor is slower
    gl.getExtension("WEBGL_lose_context")?.loseContext();
    const { WebglAddon } = await import("@xterm/addon-webgl");
    if (!this.term.element) return;
    const addon = new WebglAddon();
    addon.onContextLoss(() => addon.dispose());
    this.term.loadAddon(addon);
    this.fit(); // its characters are of whole pixels
  }

  // guard takes from the console what it must not have: the answers to its questions
  // where they are not wanted, and the past that was shown before.
  private guard(): void {
    const { parser } = this.term;
    const question = (): boolean => this.done < this.past || !this.mayAnswer();
    parser.registerCsiHandler({ final: "c" }, question); // device attributes
    parser.registerCsiHandler({ prefix: ">", final: "c" }, question);
    parser.registerCsiHandler({ prefix: "=", final: "c" }, question);
    parser.registerCsiHandler({ prefix: ">", final: "q" }, question); // its version
    parser.registerCsiHandler({ final: "n" }, question); // where the cursor is
    parser.registerCsiHandler({ prefix: "?", final: "n" }, question);
    parser.registerCsiHandler({ intermediates: "$", final: "p" }, question); // modes
    parser.registerCsiHandler({ prefix: "?", intermediates: "$", final: "p" }, question);
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, question); // settings
    for (const colours of [4, 10, 11, 12]) parser.registerOscHandler(colours, (data) => data.includes("?") && question());
    parser.registerOscHandler(52, () => true); // the clipboard is the user's
    parser.registerCsiHandler({ final: "J" }, (params) => params[0] === 3); // to forget the past
  }

  // feed shows bytes that stand at an offset; parsed is called when they are shown.
  // What is of the past asks nobody.
  feed(data: Uint8Array, at: number, past: boolean, parsed?: () => void): void {
    this.held.append(data, at);
    this.held.keepNewest(heldMax);
    this.write(data, at, past, parsed);
  }

  private write(data: Uint8Array, at: number, past: boolean, parsed?: () => void): void {
    // The terminal would lose a character that two writes share, and forget all it
    // has shown at ESC c, so neither gets to it.
    let text = this.tail + this.decoder.decode(data, { stream: true });
    this.tail = text.endsWith("\x1b") ? "\x1b" : "";
    if (this.tail) text = text.slice(0, -1);
    text = text.replaceAll("\x1bc", "\x1b[!p\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?2004l\x1b[?1l\x1b[0m\x1b[H\x1b[2J");
    const after = at + data.length;
    this.put(text, past, () => {
      this.mark(after);
      parsed?.();
    });
  }

  private put(text: string, past: boolean, shown: () => void): void {
    const mine = ++this.written;
    if (past) this.past = mine;
    this.term.write(text, () => {
      this.done = mine;
      shown();
    });
  }

  // mark notes that what comes next stands at an offset.
  private mark(offset: number): void {
    const last = this.marks.at(-1);
    if ((last && offset - last.offset < markEvery) || this.term.buffer.active.type !== "normal") return;
    const marker = this.term.registerMarker(0);
    if (marker) this.marks.push({ marker, offset });
    this.marks = this.marks.filter((m) => !m.marker.isDisposed);
    if (this.marks.length <= marksMax) return;
    this.marks = this.marks.filter((m, i) => i % 2 === 0 || (m.marker.dispose(), false));
  }

  // offsetOf is the offset of the line that stands in a row of the buffer, as exactly
  // as a console tells: a line that was painted over stands where it ends.
  offsetOf(row: number): number {
    const buffer = this.term.buffer.normal;
    const lines = (from: number, to: number): number => {
      let n = 0;
      for (let y = from + 1; y <= to; y++) if (!buffer.getLine(y)?.isWrapped) n++;
      return n;
    };
    const marks = this.marks.filter((m) => m.marker.line >= 0);
    const before = marks.findLast((m) => m.marker.line <= row);
    if (before) return this.held.lineAfter(before.offset, lines(before.marker.line, row));
    const behind = marks[0];
    return behind ? this.held.lineBefore(behind.offset, lines(row, behind.marker.line)) : this.held.start;
  }

  // full is whether the terminal has dropped lines of what is held.
  get full(): boolean {
    return this.term.buffer.normal.length >= scrollback + this.term.rows;
  }

  // top is the row that is shown first.
  get top(): number {
    return this.term.buffer.active.viewportY;
  }

  // atTop is whether the oldest line is in sight.
  get atTop(): boolean {
    return this.term.buffer.active.type === "normal" && this.term.buffer.active.viewportY === 0;
  }

  get atBottom(): boolean {
    const b = this.term.buffer.active;
    return b.viewportY >= b.baseY;
  }

  // rewrite shows anew what is held and then goes to a place, or to the end. Nothing of
  // it is painted before it is done (synchronized output, DEC mode 2026).
  async rewrite(to?: Place): Promise<void> {
    for (const m of this.marks) m.marker.dispose();
    this.marks = [];
    this.decoder = newDecoder();
    this.tail = "";
    await this.shown("\x1bc\x1b[?2026h");
    this.mark(this.held.start);
    let target: IMarker | undefined;
    let end = this.held.start;
    for (const { at, data } of this.held.runs(to?.offset)) {
      if (at !== end) this.flagGap(end, at);
      if (at === to?.offset) target = this.term.registerMarker(0);
      end = at + data.length;
      await new Promise<void>((shown) => this.write(data, at, true, shown));
    }
    await this.shown("\x1b[?2026l");
    if (to && target && target.line >= 0) {
      await this.goTo(Math.max(0, target.line - to.below));
      if (to.flag) this.flag(target, "here", to.flag);
    } else {
      await this.goToEnd();
    }
  }

  // goTo scrolls to a row, and goToEnd to the newest line.
  goTo(row: number): Promise<void> {
    return this.scroll(() => this.term.scrollToLine(row), () => this.top === row);
  }

  goToEnd(): Promise<void> {
    return this.scroll(() => this.term.scrollToBottom(), () => this.atBottom);
  }

  // scroll tries again where it takes that: the terminal learns how much it has to
  // scroll in only when it paints, and goes no further before.
  private async scroll(by: () => void, there: () => boolean): Promise<void> {
    for (let tries = 0; tries < 5 && (tries === 0 || !there()); tries++) {
      by();
      await new Promise<void>((painted) => {
        const late = setTimeout(painted, 100); // a tab that nobody sees paints nothing
        requestAnimationFrame(() => {
          clearTimeout(late);
          painted();
        });
      });
    }
  }

  private shown(text: string): Promise<void> {
    return new Promise((shown) => this.put(text, true, shown));
  }

  // flag draws a line above a row, in the terminal but not of its content, and at its end
  // a label, if there is one.
  flag(marker: IMarker | undefined, kind: string, text: string, label = ""): void {
    if (!marker) return;
    const d = this.term.registerDecoration({ marker, width: this.term.cols, layer: "top" });
    d?.onRender((element) => {
      element.classList.add("flag", "flag-" + kind);
      element.title = text;
      element.dataset["label"] = label;
    });
  }

  // flagGap says that what stands between two offsets is missing here.
  flagGap(from: number, to: number): void {
    this.flagMissing(to - from, this.whyMissing(from, to));
  }

  // flagMissing says that so many bytes are; with a reason they may be fewer.
  flagMissing(bytes: number, why?: string): void {
    this.flag(this.term.registerMarker(0), "gap", gapText(bytes, why), `gap ${why ? "≤ " : ""}${size(bytes)}`);
  }

  // resize fits the terminal to its place in the page, or makes it one of a size.
  resize(size: Size): void {
    this.size = size;
    this.host.classList.toggle("fixed", size !== "fit");
    if (size !== "fit") {
      const [cols, rows] = size.split("x").map(Number) as [number, number];
      this.term.resize(cols, rows);
    }
    this.fit();
  }

  fit(): void {
    if (this.size !== "fit") {
      requestAnimationFrame(() => (this.host.scrollTop = this.host.scrollHeight)); // the newest line is the last
      return;
    }
    const { viewportY, baseY, cursorY } = this.term.buffer.active;
    const top = this.atBottom ? undefined : this.term.registerMarker(viewportY - baseY - cursorY);
    this.fitting.fit();
    if (!top) this.term.scrollToBottom();
    else void this.goTo(Math.max(0, top.line)).then(() => top.dispose()); // what is read stays in its place
  }
}

// gapText is a gap in words; one with a reason may be smaller.
function gapText(bytes: number, why?: string): string {
  if (why) return `at most ${count(bytes, "byte")} are missing here: ${why}`;
  return `${count(bytes, "byte")} ${bytes === 1 ? "is" : "are"} missing here`;
}

function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true }); // what is no UTF-8 is shown as U+FFFD
}

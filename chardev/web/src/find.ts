// The search: in what the terminal shows, as one types; and in all that the log has,
// with places to go to.

import { chardev, isGone, request, url } from "./api";
import { h, say } from "./dom";
import { match } from "./palette";
import type { Screen } from "./screen";
import { clock, count, plain } from "./words";

const foundMax = 200; // lines of the log: the newest

export class Find {
  readonly element: HTMLElement;
  private readonly input = h("input", { type: "search", "aria-label": "Find", placeholder: "Find", autocomplete: "off", spellcheck: "false", autocapitalize: "none" });
  private readonly result = h("span", { class: "muted", role: "status" });
  private readonly found = h("ol", { class: "found" });
  private asking: AbortController | undefined;

  constructor(private readonly name: string, private readonly screen: Screen, private readonly jump: (offset: number, flag: string) => void, private readonly closed: () => void) {
    this.element = h("div", { class: "find", role: "search", hidden: true },
      h("div", { class: "row" }, this.input,
        h("button", { "aria-label": "Previous", title: "Previous (Enter)", onclick: () => this.step(-1) }, "↑"),
        h("button", { "aria-label": "Next", title: "Next (Shift+Enter)", onclick: () => this.step(1) }, "↓"),
        h("button", { title: "Look through the whole log (Ctrl+Enter)", onclick: () => void this.log() }, "Whole log"),
        this.result,
        h("button", { class: "quiet", "aria-label": "Close the search", onclick: () => this.close() }, "✕")),
      this.found);
    this.input.addEventListener("input", () => this.step(-1, true));
    this.element.addEventListener("keydown", (e) => {
      e.stopPropagation();
      if (e.key === "Escape") this.close();
      else if (e.key === "Enter" && e.target === this.input) {
        if (e.ctrlKey || e.metaKey) void this.log();
        else this.step(e.shiftKey ? 1 : -1);
      } else return;
      e.preventDefault();
    });
    screen.search.onDidChangeResults(({ resultIndex, resultCount }) => {
      if (!this.element.hidden && !this.found.childElementCount) say(this.result, !this.input.value ? "" : resultCount ? `${resultIndex + 1} of ${resultCount}` : "not on this screen");
    });
  }

  open(): void {
    this.element.hidden = false;
    const selected = this.screen.term.getSelection();
    if (selected && !selected.includes("\n")) this.input.value = selected;
    this.input.focus();
    this.input.select();
  }

  close(): void {
    this.asking?.abort();
    this.element.hidden = true;
    this.found.replaceChildren();
    say(this.result, "");
    this.screen.search.clearDecorations();
    this.closed();
  }

  // step goes to the next place that is shown: upwards first, as consoles are read.
  private step(by: number, incremental = false): void {
    this.found.replaceChildren();
    const options = { incremental, decorations: { matchBackground: "#8a6d1f", activeMatchBackground: match, matchOverviewRuler: "#c8871a", activeMatchColorOverviewRuler: match } };
    if (!this.input.value) {
      this.screen.search.clearDecorations();
      say(this.result, "");
    } else if (by < 0) this.screen.search.findPrevious(this.input.value, options);
    else this.screen.search.findNext(this.input.value, options);
  }

  // log asks the daemon for the lines that have the text.
  private async log(): Promise<void> {
    const text = this.input.value;
    if (!text) return;
    this.asking?.abort();
    const mine = (this.asking = new AbortController());
    say(this.result, "looking…");
    try {
      const grep = "(?i)" + text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const answer = await request("GET", url(chardev(this.name, "log"), { grep, format: "json", lines: foundMax }), { signal: mine.signal });
      const lines = (await answer.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line) as { offset: number; time?: string; line?: string }).filter((line) => line.line !== undefined);
      if (mine.signal.aborted) return;
      say(this.result, lines.length === foundMax ? `the last ${foundMax} lines` : count(lines.length, "line"));
      this.found.replaceChildren(...lines.reverse().map((line) => {
        const when = line.time ? clock(new Date(line.time)) : `offset ${line.offset}`;
        return h("li", {}, h("button", { onclick: () => this.jump(line.offset, when) }, h("time", {}, when), h("span", {}, plain(line.line!))));
      }));
    } catch (e) {
      if (!isGone(e)) say(this.result, (e as Error).message);
    }
  }
}

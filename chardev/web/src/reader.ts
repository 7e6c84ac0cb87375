// What is shown of a console: the live end of it, or a part of its past. Both are the
// same stream of bytes by offset; the past comes from the log, the end from the stream.

import { type Hole, type Info, chardev, get, isGone, request, url } from "./api";
import type { Run } from "./held";
import { type Screen, heldMax } from "./screen";
import { type Hearer, type Link, type Message, Stream } from "./stream";

const replay = 64 << 10; // bytes of the past before the live end
const page = 128 << 10; // bytes of the past that come at once

export interface Watcher {
  changed(): void; // of what is public in Reader
  message(m: Message): void;
  trouble(text: string): void; // what was not done, and why
}

interface Chunk {
  data: Uint8Array;
  at: number;
  shown: () => void;
}

export class Reader implements Hearer {
  readonly stream: Stream;
  link_: Link = { state: "connecting" };
  past = false; // it shows a part of the past, and not what comes
  paused = false; // what comes waits
  loading = false; // it is about to show something else
  oldest = 0; // the first offset that there is
  private holes: Hole[] = []; // and where there may be none
  private head = Infinity; // what is before was printed before this page came to it
  private queue: Chunk[] = [];
  private epoch = "";
  private readonly over = new AbortController();

  constructor(readonly name: string, private readonly screen: Screen, private first: number | undefined, private readonly watcher: Watcher) {
    screen.whyMissing = (from, to) => this.holes.find((h) => h.from < to && h.to > from)?.why;
    this.stream = new Stream(name, first === undefined ? `-${replay}B` : "end", this);
  }

  close(): void {
    this.over.abort();
    this.stream.close();
  }

  // waiting is how many bytes came and are not shown.
  get waiting(): number {
    return this.queue.reduce((n, c) => n + c.data.length, 0);
  }

  link(link: Link): void {
    this.link_ = link;
    if (link.state === "open") {
      this.head = Infinity;
      void this.begun();
    }
    this.watcher.changed();
  }

  // begun looks where the stream is: what was printed before is shown, but it asks
  // nobody anything any more.
  private async begun(): Promise<void> {
    const epoch = this.stream.epoch;
    const other = this.epoch !== "" && this.epoch !== epoch;
    this.epoch = epoch;
    try {
      const info = await get<Info>(chardev(this.name), { signal: this.over.signal });
      if (info.epoch === epoch) {
        this.head = info.offset;
        this.oldest = info.oldest;
        this.holes = info.holes ?? [];
      }
      if (this.first !== undefined) {
        const offset = this.first;
        this.first = undefined;
        await this.jump(offset, `offset ${offset}`);
      } else if (this.past && other) {
        await this.back();
      }
    } catch (e) {
      this.failed("", e);
    }
    this.watcher.changed();
  }

  message(m: Message): void {
    if (m.type === "gap" && !this.past) {
      // Its line is known when what came before is shown.
      this.screen.term.write("", () => this.screen.flagMissing(m.size ?? 0, m.text));
    }
    this.watcher.message(m);
  }

  bytes(data: Uint8Array, at: number, shown: () => void): void {
    const tell = (what: string) => this.screen.host.dispatchEvent(new CustomEvent(what, { bubbles: true, detail: { data, at } }));
    tell("console-bytes");
    const done = () => {
      tell("console-shown");
      shown();
    };
    if (this.past) done();
    else if (this.paused || this.loading) {
      this.queue.push({ data, at, shown: done });
      if (this.paused) this.watcher.changed();
    } else this.show({ data, at, shown: done });
  }

  private show({ data, at, shown }: Chunk): void {
    this.screen.feed(data, at, at < this.head, shown);
  }

  private drain(): void {
    if (this.paused || this.loading) return;
    for (const c of this.queue.splice(0)) this.show(c);
  }

  // pause holds what comes. It waits at the daemon then, which has more room than a tab.
  pause(on: boolean): void {
    this.paused = on;
    this.drain();
    this.watcher.changed();
  }

  // older puts what was before the oldest line above it. Where there is no room for that
  // what is newest gives way, and the screen shows a part of the past.
  async older(): Promise<void> {
    const { held } = this.screen;
    const top = this.screen.full ? this.screen.offsetOf(0) : held.start;
    if (top <= this.oldest) return;
    await this.alone("what was before", async () => {
      if (this.screen.full || held.size > heldMax) {
        held.keepOldest((held.sizeTo(top) + held.size) / 2);
        this.leaveEnd();
      }
      const to = held.start;
      if (to > this.oldest && top - to < page) {
        const from = this.before(to, page);
        const runs = await this.log(from, to);
        const first = runs[0];
        if (first && from > this.oldest) { // not in the middle of a line
          const line = first.data.indexOf(10) + 1;
          first.at += line;
          first.data = first.data.subarray(line);
        }
        if (!runs.some(({ data }) => data.length)) this.oldest = to; // nothing of it is there any more
        for (const { at, data } of runs.reverse()) held.prepend(data, at);
      }
      await this.screen.rewrite({ offset: top, below: 0 });
    });
  }

  // newer puts what was behind a part of the past below it, until that reaches the end.
  async newer(): Promise<void> {
    if (!this.past) return;
    await this.alone("what was next", async () => {
      const from = this.screen.held.end;
      const runs = await this.log(from, this.end(this.behind(from, page)));
      const top = this.screen.top; // the terminal would go along with what comes
      for (const { at, data } of runs) {
        if (at > this.screen.held.end) this.screen.flagGap(this.screen.held.end, at);
        await new Promise<void>((shown) => this.screen.feed(data, at, true, shown));
      }
      await this.screen.goTo(top);
    });
  }

  // jump shows the past around an offset.
  async jump(offset: number, flag: string): Promise<void> {
    await this.alone("that place", async () => {
      offset = this.holes.find((h) => h.from <= offset && offset < h.to)?.to ?? offset;
      if (offset < this.oldest) { // as of an old link
        this.watcher.trouble(`what stood at ${flag} is kept no more; this is the oldest there is`);
        flag = "the oldest there is";
        offset = this.oldest;
      }
      const from = this.before(offset, replay);
      const at = this.hold(await this.log(from, this.end(this.behind(offset, page))), offset);
      await this.screen.rewrite({ offset: Math.max(offset, at), below: 3, flag });
    });
  }

  // back goes to the live end.
  async back(): Promise<void> {
    if (!this.past) {
      this.pause(false);
      await this.screen.goToEnd();
      this.watcher.changed();
      return;
    }
    await this.alone("the live end", async () => {
      const to = this.end(Infinity);
      this.hold(await this.log(this.before(to, replay), to), to);
      await this.screen.rewrite();
    });
  }

  // hold has the screen hold runs and nothing else, from an offset on if there is none.
  // It returns where they begin.
  private hold(runs: Run[], none: number): number {
    const at = runs[0]?.at ?? none;
    this.screen.held.clear(at);
    for (const run of runs) this.screen.held.append(run.data, run.at);
    return at;
  }

  // before and behind are so many bytes from an offset, of which holes are none.
  private before(offset: number, n: number): number {
    let at = offset - n;
    for (const h of this.holes.toReversed()) if (h.from < offset && h.to > at) at -= Math.min(h.to, offset) - h.from;
    return Math.max(this.oldest, at);
  }

  private behind(offset: number, n: number): number {
    let at = offset + n;
    for (const h of this.holes) if (h.to > offset && h.from < at) at += h.to - Math.max(h.from, offset);
    return at;
  }

  // end is where a part that is about to be read ends: at most at an offset, and at the
  // live end if that is before. Then what comes from this moment on stands behind it,
  // and waits in the queue.
  private end(most: number): number {
    this.leaveEnd();
    if (this.stream.next > most) return most;
    this.past = false;
    return this.stream.next;
  }

  private leaveEnd(): void {
    this.past = true;
    this.paused = false;
    for (const c of this.queue.splice(0)) c.shown();
  }

  // alone does something with the screen while what comes waits.
  private async alone(what: string, do_: () => Promise<void>): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    this.watcher.changed();
    try {
      await do_();
    } catch (e) {
      this.leaveEnd(); // what is shown may have no end that the stream goes on from
      this.failed(what, e);
    } finally {
      this.loading = false;
      this.drain();
      this.watcher.changed();
    }
  }

  private failed(what: string, error: unknown): void {
    if (!isGone(error)) this.watcher.trouble((what ? what + ": " : "") + (error as Error).message);
  }

  // log reads the past between two offsets, in runs between the holes.
  private async log(from: number, to: number): Promise<Run[]> {
    const runs: Run[] = [];
    for (const h of [...this.holes, { from: to, to }]) {
      const end = Math.min(h.from, to);
      if (from < end) runs.push(await this.run(from, end));
      from = Math.max(from, h.to);
    }
    return runs;
  }

  // run reads bytes of the past. If some are lost, the rest stands at the end.
  private async run(from: number, to: number): Promise<Run> {
    const where = url(chardev(this.name, "log"), { format: "raw", since: from, until: to, epoch: this.epoch });
    const answer = await request("GET", where, { signal: this.over.signal });
    const data = new Uint8Array(await answer.arrayBuffer());
    return { at: to - data.length, data };
  }
}

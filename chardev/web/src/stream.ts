// One stay on a console, over as many connections as it takes. Each goes on exactly
// where the one before ended, by offset and epoch: no byte is lost or comes twice as
// far as the daemon still has them, and what it has not is told.

import { type Refused, chardev, request, root, url } from "./api";

// A Message is a text frame of attach, see chardev/api.go. What is 0 or empty is absent.
export interface Message {
  type: string;
  client?: string;
  clients?: number;
  epoch?: string;
  offset?: number;
  size?: number;
  bytes?: number;
  state?: string;
  waits?: boolean;
  mode?: string;
  code?: string;
  text?: string;
  cols?: number;
  rows?: number;
  millis?: number;
  you?: "has" | "asked" | "may";
  writer?: { input: string; holder: WriterClient | null; asked: WriterClient[]; why?: string };
}

export interface WriterClient {
  client: string;
  who: string;
  name: string;
}

export type Link =
  | { state: "connecting" }
  | { state: "open" }
  | { state: "waiting"; why: string; until: number } // until it tries again, in ms since 1970
  | { state: "ended"; why: string; missing: boolean }; // missing: there is no such console

export interface Hearer {
  link(link: Link): void;
  message(m: Message): void;
  bytes(data: Uint8Array, at: number, shown: () => void): void; // shown makes room for more
}

// The waits between tries, in ms: doubled up to the longest, and with jitter, so that
// the tabs of a whole floor do not come back in one instant.
const retryMin = 250;
const retryMax = 5000;
const lived = 5000; // a connection that lasted so long was one: the next wait is the shortest

// silence is how long a console may have nothing to say to what was typed before it is
// asked whether it is still there: a dead network is silent too, and no timer of the
// browser's notices.
const silence = 4000;

// window is how many bytes may be on their way to the terminal: what is beyond it is
// kept by the daemon, and not by the tab.
const window_ = 256 * 1024;

export class Stream {
  epoch = "";
  next = 0; // the offset of the byte that comes next
  private since: string; // until the first hello
  private socket: WebSocket | undefined;
  private byTicket = false; // this browser shows to a websocket not what it shows otherwise
  private asking = false; // for a ticket
  private heard = false; // a hello came on this socket
  private opened = 0; // when, in ms
  private wait = retryMin;
  private timer = 0;
  private probe = 0;
  private credit = 0; // bytes that were shown, and the daemon was not told of
  private bye: Message | undefined;
  private done = false;
  private readonly over = new AbortController();

  constructor(readonly name: string, since: string, private readonly hearer: Hearer) {
    this.since = since;
    const options = { signal: this.over.signal };
    window.addEventListener("online", () => this.hurry(), options);
    window.addEventListener("offline", () => this.drop("the network is gone"), options);
    // A browser may keep a page that was left, with its connection, to show it again.
    window.addEventListener("pagehide", () => this.drop("the page was left"), options);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      if (this.socket) void this.check(); // it may have died while the tab slept
      else this.hurry();
    }, options);
  }

  start(): void {
    this.connect();
  }

  get open(): boolean {
    return this.socket?.readyState === WebSocket.OPEN && this.heard;
  }

  // send types bytes. It returns false if nobody is there who takes them: they are
  // not kept, as they might mean something else later.
  send(data: Uint8Array): boolean {
    if (!this.open) return false;
    this.socket!.send(data as Uint8Array<ArrayBuffer>);
    this.probe ||= window.setTimeout(() => void this.check(), silence);
    return true;
  }

  // waiting is how many typed bytes have not left the browser.
  get waiting(): number {
    return this.socket?.bufferedAmount ?? 0;
  }

  tell(m: Message): boolean {
    if (!this.open) return false;
    this.socket!.send(JSON.stringify(m));
    return true;
  }

  // taken gives the daemon credit for what was shown, when it is some.
  private taken(bytes: number): void {
    this.credit += bytes;
    if (this.credit < window_ / 8) return;
    this.tell({ type: "credit", bytes: this.credit });
    this.credit = 0;
  }

  // hurry tries now instead of later.
  hurry(): void {
    if (this.done || this.socket || this.asking) return;
    clearTimeout(this.timer);
    this.connect();
  }

  // again begins anew after the daemon ended it for good.
  again(): void {
    if (!this.done) return;
    this.done = false;
    this.wait = retryMin;
    this.connect();
  }

  close(): void {
    this.over.abort();
    this.done = true;
    clearTimeout(this.timer);
    clearTimeout(this.probe);
    this.socket?.close(1000);
    this.socket = undefined;
  }

  private connect(): void {
    this.hearer.link({ state: "connecting" });
    if (!this.byTicket) {
      this.dial();
      return;
    }
    this.asking = true;
    void ticket().then((shown) => {
      this.asking = false;
      if (!this.done) this.dial(shown);
    });
  }

  private dial(ticket?: string): void {
    const where = url(chardev(this.name, "ws"), this.epoch
      ? { since: this.next, epoch: this.epoch, credit: window_, ticket }
      : { since: this.since, credit: window_, ticket });
    where.protocol = root.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(where, ["chardev.v1"]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heard = false;
    this.bye = undefined;
    this.credit = 0;
    this.opened = Date.now();
    socket.addEventListener("message", (e) => {
      if (socket === this.socket) this.receive(e.data);
    });
    socket.addEventListener("close", () => {
      if (socket === this.socket) void this.closed("the connection broke");
    });
  }

  private receive(data: ArrayBuffer | string): void {
    if (this.probe) {
      clearTimeout(this.probe);
      this.probe = 0;
    }
    if (typeof data !== "string") {
      const at = this.next;
      this.next += data.byteLength;
      const socket = this.socket;
      this.hearer.bytes(new Uint8Array(data), at, () => {
        if (socket === this.socket) this.taken(data.byteLength);
      });
      return;
    }
    const m = JSON.parse(data) as Message;
    switch (m.type) {
      case "hello":
        this.heard = true;
        this.epoch = m.epoch ?? "";
        this.next = m.offset ?? 0;
        this.hearer.link({ state: "open" });
        break;
      case "gap":
        this.next = m.offset ?? 0;
        break;
      case "bye":
        this.bye = m;
        break;
    }
    this.hearer.message(m);
  }

  // drop gives up a connection that is no use any more.
  private drop(why: string): void {
    const socket = this.socket;
    if (!socket) return;
    this.socket = undefined; // nothing of it is heard any more: what it brings would come twice
    socket.close();
    void this.closed(why);
  }

  private async closed(why: string): Promise<void> {
    const bye = this.bye;
    this.socket = undefined;
    clearTimeout(this.probe);
    this.probe = 0;
    if (this.done) return;
    if (bye && bye.code !== "stopping") {
      this.end(bye.text ?? "the daemon ended it", false);
      return;
    }
    if (Date.now() - this.opened > lived) this.wait = retryMin;
    if (!this.heard) {
      // A browser tells nobody why there was no websocket; ask in a way that does.
      const refused = await this.asked();
      if (this.done || this.socket) return;
      if (refused && refused.status > 0 && refused.status < 500) {
        this.end(refused.message, refused.status === 404);
        return;
      }
      if (refused?.status === 0) why = refused.message;
      this.byTicket = refused === undefined;
    } else if (bye) {
      why = "the daemon starts again";
    }
    const pause = this.wait * (0.5 + Math.random());
    this.wait = Math.min(2 * this.wait, retryMax);
    this.hearer.link({ state: "waiting", why, until: Date.now() + pause });
    this.timer = window.setTimeout(() => this.connect(), pause);
  }

  private end(why: string, missing: boolean): void {
    this.done = true;
    this.hearer.link({ state: "ended", why, missing });
  }

  // asked asks for the console, and returns why that was refused.
  private async asked(): Promise<Refused | undefined> {
    try {
      await request("GET", url(chardev(this.name)), { signal: AbortSignal.any([this.over.signal, AbortSignal.timeout(silence)]) });
    } catch (e) {
      return e instanceof DOMException ? ({ status: 0, message: "the daemon does not answer" } as Refused) : (e as Refused);
    }
    return undefined;
  }

  // check finds out whether the connection is dead without having said so: the daemon
  // is asked for the console, and has more of it than came here.
  private async check(): Promise<void> {
    this.probe = 0;
    const socket = this.socket;
    if (!socket) return;
    const before = this.next;
    const refused = await this.asked();
    if (socket === this.socket && this.next === before && refused?.status === 0) this.drop(refused.message);
  }
}

// ticket asks for one; undefined: there is none, and it is tried without.
async function ticket(): Promise<string | undefined> {
  try {
    const answer = await fetch(url("ticket"), { method: "POST" });
    return answer.ok ? (await answer.json() as { ticket: string }).ticket : undefined;
  } catch {
    return undefined;
  }
}

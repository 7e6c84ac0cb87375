// How all consoles are, as the daemon tells it when something changes (server-sent
// events): one connection for the list.

import { Refused, get, url } from "./api";

// A Summary is a console in short, see chardev/api.go.
export interface Summary {
  name: string;
  state: "up" | "down" | "opening";
  since: string;
  error?: string;
  device: string;
  input: "shared" | "exclusive" | "off";
  input_waits?: boolean;
  writer?: string;
  clients: number;
  attached: string[];
  last_byte: string | null;
  last_line: string;
  epoch: string;
  offset: number;
}

export interface Watcher {
  all(all: Summary[]): void;
  one(one: Summary): void;
  gone(name: string): void;
  lost(error: Refused | undefined): void; // undefined: it is back
}

const again = 2000; // ms after which a connection that the browser gave up is made anew

// watch tells until the returned function is called, while the page can be seen: a
// browser has six connections to a daemon for all its tabs, and this one holds its place
// for as long as it is there, so that some tabs more would wait for theirs for ever. (A
// console has a websocket, which does not count, and all that it shows comes by that.) A
// browser makes a connection that broke anew by itself, but gives up where it got an
// answer that is an error, and says to nobody what that was.
export function watch(watcher: Watcher): () => void {
  const over = new AbortController();
  let source: EventSource | undefined;
  let timer = 0;

  const why = async (): Promise<void> => {
    try {
      await get("chardevs", { signal: over.signal });
      watcher.lost(new Refused(0, "the connection broke"));
    } catch (e) {
      if (e instanceof Refused) watcher.lost(e);
    }
  };
  const connect = (): void => {
    const mine = (source = new EventSource(url("events")));
    mine.addEventListener("open", () => watcher.lost(undefined));
    mine.addEventListener("snapshot", (e) => watcher.all(JSON.parse(e.data)));
    mine.addEventListener("chardev", (e) => watcher.one(JSON.parse(e.data)));
    mine.addEventListener("gone", (e) => watcher.gone(JSON.parse(e.data).name));
    mine.addEventListener("error", () => {
      void why();
      if (mine.readyState === EventSource.CLOSED) timer = window.setTimeout(connect, again);
    });
  };
  const rest = (): void => {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const look = (): void => {
    rest();
    if (!document.hidden) connect();
  };
  document.addEventListener("visibilitychange", look, { signal: over.signal });
  look();
  return () => {
    over.abort();
    rest();
  };
}

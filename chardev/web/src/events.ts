// How all consoles are, as the daemon tells it when something changes (server-sent
// events): one connection for the whole page.

import { Refused, get, url } from "./api";

// A Summary is a console in short, see chardev/api.go.
export interface Summary {
  name: string;
  state: "up" | "down" | "opening";
  since: string;
  error?: string;
  device: string;
  input: "shared" | "exclusive" | "off";
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

// watch tells until the returned function is called. A browser makes a connection that
// broke anew by itself, but gives up where it got an answer that is an error, and says
// to nobody what that was.
export function watch(watcher: Watcher): () => void {
  const over = new AbortController();
  let source: EventSource;
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
    source = new EventSource(url("events"));
    source.addEventListener("open", () => watcher.lost(undefined));
    source.addEventListener("snapshot", (e) => watcher.all(JSON.parse(e.data)));
    source.addEventListener("chardev", (e) => watcher.one(JSON.parse(e.data)));
    source.addEventListener("gone", (e) => watcher.gone(JSON.parse(e.data).name));
    source.addEventListener("error", () => {
      void why();
      if (source.readyState === EventSource.CLOSED) timer = window.setTimeout(connect, again);
    });
  };
  connect();
  return () => {
    over.abort();
    clearTimeout(timer);
    source.close();
  };
}

// What is asked of the daemon, and what it answers: the shapes are those of
// chardev/api.go.

// root is the address below which all is: of the daemon, or of a proxy's path.
export const root = new URL(".", document.baseURI);

export interface Event {
  time: string;
  offset: number;
  kind: string;
  text: string;
}

export interface Frontend {
  address: string;
  state: string;
  error: string;
  mode: string;
  reach?: string;
  clients: number;
}

// A Hole is offsets that a daemon which was killed or crashed may have given to bytes;
// mostly it has not.
export interface Hole {
  from: number;
  to: number; // of the next byte
  why: string;
}

export interface Info {
  name: string;
  state: "up" | "down" | "opening";
  since: string;
  error?: string;
  device: string;
  input: "shared" | "exclusive" | "off";
  input_waits?: boolean;
  writer?: string;
  clients: number;
  bytes_in: number;
  bytes_out: number;
  last_byte: string | null;
  line?: string;
  epoch: string;
  offset: number;
  oldest: number;
  holes?: Hole[]; // between them, ascending
  frontends: Frontend[];
  events?: Event[];
}

export interface Client {
  id: string;
  frontend: string;
  who: string;
  peer: string;
  since: string;
  mode: string;
  lag: number;
  writer?: string; // has, asked
}

export interface Line {
  baud?: number;
  mode?: string;
  flow?: string;
  modem?: Record<string, boolean>;
  counters?: Record<string, number>;
  error?: string;
}

// A Refused is an answer that is an error (RFC 9457); status 0: there was none, as
// nobody could be asked.
export class Refused extends Error {
  constructor(readonly status: number, detail: string) {
    super(detail);
  }
}

// unauthorized is told when the daemon wants to know first who asks.
export const unauthorized = new EventTarget();

export function url(path: string, query: Record<string, string | number | undefined> = {}): URL {
  const u = new URL("api/v1/" + path, root);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) u.searchParams.set(name, String(value));
  }
  return u;
}

// chardev is the path of a console in the API.
export function chardev(name: string, what = ""): string {
  return "chardevs/" + encodeURIComponent(name) + (what && "/" + what);
}

// request asks the daemon, and throws a Refused.
export async function request(method: string, where: URL, options: { body?: unknown; signal?: AbortSignal } = {}): Promise<Response> {
  const init: RequestInit = { method, cache: "no-store" };
  if (options.signal) init.signal = options.signal;
  if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
    init.headers = { "Content-Type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(where, init);
  } catch (e) {
    if (options.signal?.aborted) throw e;
    throw new Refused(0, "the daemon does not answer");
  }
  if (answer.ok) return answer;
  let detail = answer.statusText || "status " + answer.status;
  try {
    detail = (await answer.json()).detail || detail;
  } catch {
    // of a proxy, which has its own words
  }
  if (answer.status === 401) unauthorized.dispatchEvent(new CustomEvent("unauthorized"));
  throw new Refused(answer.status, detail);
}

export async function get<T>(path: string, options: { query?: Record<string, string | number | undefined>; signal?: AbortSignal } = {}): Promise<T> {
  return (await request("GET", url(path, options.query), options)).json();
}

// isGone says whether an error is only that a view which asked has ended.
export function isGone(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

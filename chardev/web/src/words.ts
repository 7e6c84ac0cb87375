// Numbers and times in words.

// size is a number of bytes for people.
export function size(n: number): string {
  if (n < 1024) return `${n} B`;
  for (const unit of ["KiB", "MiB", "GiB"]) {
    n /= 1024;
    if (n < 1024 || unit === "GiB") return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${unit}`;
  }
  return "";
}

// ago is how long a moment is past, in its largest unit.
export function ago(then: number, now = Date.now()): string {
  const s = Math.max(0, Math.round((now - then) / 1000));
  if (s < 2) return "now";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

// clock is a moment as a time of day to the second, minute to the minute; with the date
// if that is another one.
export function clock(then: Date, now = new Date()): string {
  return moment(then, now, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

export function minute(then: Date, now = new Date()): string {
  return moment(then, now, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function moment(then: Date, now: Date, form: Intl.DateTimeFormatOptions): string {
  const time = then.toLocaleTimeString(undefined, form);
  return then.toDateString() === now.toDateString() ? time : `${then.toLocaleDateString()} ${time}`;
}

// person is who somebody is without how that was proven: of "user:alice" the name, and
// of a client that is told in one line, like "client 3 user:alice 192.0.2.7:4711", too.
export function person(who: string): string {
  return who.replace(/^client \d+ (\S+).*$/, "$1").replace(/^(user|token|unix|cert):/, "");
}

// plain is a line of a console as text: without its escape sequences (ECMA-48 sections
// 5.4 and 5.6) and control characters.
export function plain(line: string): string {
  return line.replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
}

export function count(n: number, one: string, many = one + "s"): string {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`;
}

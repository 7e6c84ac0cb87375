// The bytes that the terminal shows, by offset: to show them again when older ones are
// put above them, and to say at which offset something stands.

// A Run is bytes that stand together from an offset on.
export interface Run {
  at: number;
  data: Uint8Array;
}

const block = 64 << 10; // what runs are gathered in

export class Held {
  private blocks: { at: number; length: number; room: Uint8Array }[] = [];
  private empty = 0; // where it begins and ends while nothing is held

  get start(): number {
    return this.blocks[0]?.at ?? this.empty;
  }

  get end(): number {
    const last = this.blocks.at(-1);
    return last ? last.at + last.length : this.empty;
  }

  get size(): number {
    return this.sizeTo(Infinity);
  }

  // sizeTo is how many bytes are held before an offset.
  sizeTo(offset: number): number {
    return this.blocks.reduce((n, b) => n + Math.max(0, Math.min(b.length, offset - b.at)), 0);
  }

  clear(at: number): void {
    this.blocks = [];
    this.empty = at;
  }

  // append keeps a copy of bytes. What lies between them and the end is a gap.
  append(data: Uint8Array, at: number): void {
    let last = this.blocks.at(-1);
    for (let from = 0; from < data.length; ) {
      if (!last || last.at + last.length !== at + from || last.length === last.room.length) {
        last = { at: at + from, length: 0, room: new Uint8Array(block) };
        this.blocks.push(last);
      }
      const part = data.subarray(from, from + last.room.length - last.length);
      last.room.set(part, last.length);
      last.length += part.length;
      from += part.length;
    }
  }

  prepend(data: Uint8Array, at: number): void {
    if (data.length) this.blocks.unshift({ at, length: data.length, room: data });
  }

  // keepNewest and keepOldest drop whole blocks, so that about max bytes remain.
  keepNewest(max: number): void {
    while (this.size > max && this.blocks.length > 1) this.blocks.shift();
  }

  keepOldest(max: number): void {
    while (this.size > max && this.blocks.length > 1) this.blocks.pop();
  }

  // runs are what is held, with a boundary at an offset.
  runs(boundary = -1): Run[] {
    const runs: Run[] = [];
    for (const { at, length, room } of this.blocks) {
      const cut = boundary > at && boundary < at + length ? boundary - at : 0;
      if (cut) runs.push({ at, data: room.subarray(0, cut) });
      runs.push({ at: at + cut, data: room.subarray(cut, length) });
    }
    return runs;
  }

  // lineAfter is the offset behind the n-th line feed from an offset on; the end, if
  // there are not so many.
  lineAfter(from: number, n: number): number {
    if (n <= 0) return from;
    for (const { at, data } of this.runs(from)) {
      if (at < from) continue;
      for (let i = 0; (i = data.indexOf(10, i)) >= 0; i++) {
        if (--n === 0) return at + i + 1;
      }
    }
    return this.end;
  }

  // lineBefore is the offset of the beginning of the line that is n lines above the one
  // in which an offset stands; the start, if there are not so many.
  lineBefore(from: number, n: number): number {
    for (const { at, data } of this.runs(from).reverse()) {
      if (at >= from) continue;
      for (let i = data.length; i > 0 && (i = data.lastIndexOf(10, i - 1)) >= 0; ) {
        if (n-- === 0) return at + i + 1;
      }
    }
    return this.start;
  }
}

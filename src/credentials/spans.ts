/** Stretches of a text that are to be taken out: kept disjoint and in order, those that touch merged into one. */
export class Spans {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  get isEmpty(): boolean {
    return this.#starts.length === 0;
  }

  /** Adds `[start, end)`. Cheap where stretches come about in the order of their ends. */
  add(start: number, end: number): void {
    let index = this.#starts.length;
    while (index > 0 && this.#ends[index - 1]! >= start) index--;
    let [first, last, count] = [start, end, 0];
    for (let i = index; i < this.#starts.length && this.#starts[i]! <= end; i++, count++) {
      first = Math.min(first, this.#starts[i]!);
      last = Math.max(last, this.#ends[i]!);
    }
    this.#starts.splice(index, count, first);
    this.#ends.splice(index, count, last);
  }

  /** The end of the stretch that a place lies in, or the place. */
  endOf(place: number): number {
    for (let i = this.#starts.length - 1; i >= 0 && this.#ends[i]! > place; i--) {
      if (this.#starts[i]! <= place) return this.#ends[i]!;
    }
    return place;
  }

  /** Removes and returns those that begin before a place. */
  takeBefore(limit: number): (readonly [number, number])[] {
    let count = 0;
    while (count < this.#starts.length && this.#starts[count]! < limit) count++;
    const ends = this.#ends.splice(0, count);
    return this.#starts.splice(0, count).map((start, i) => [start, ends[i]!] as const);
  }
}

/** Progress of a long command: a bar that is drawn over itself on a terminal, a plain line now and then otherwise. */
import type { Screen } from './terminal.ts';

/** How far it is. */
export interface Progress {
  readonly phase: string;
  /** What `done` and `total` count. */
  readonly unit: 'bytes' | 'objects';
  readonly done: number;
  /** How much there is altogether; undefined where that isn't known. */
  readonly total: number | undefined;
  /** How many lines of a file these bytes are, where that can be seen. */
  readonly lines?: number;
}

/** The time that a line is about. */
interface Span {
  readonly seconds: number;
  /** What was done before it began. */
  readonly before: number;
}

const TERMINAL_MS = 100;
const PLAIN_MS = 5_000;
const BAR_LENGTH = 24;

export class ProgressReport {
  readonly #screen: Screen;
  readonly #now: () => number;
  readonly #began: number;
  #phase: string | undefined;
  #phaseBegan = { at: 0, before: 0 };
  #shownAt = Number.NEGATIVE_INFINITY;
  #lineIsOpen = false;

  /** @param now a clock in milliseconds */
  constructor(screen: Screen, now: () => number = () => performance.now()) {
    this.#screen = screen;
    this.#now = now;
    this.#began = now();
  }

  /** Shows how far it is, unless that was shown just now. A new phase is always shown, and measured by itself. */
  update(progress: Progress): void {
    const now = this.#now();
    const interval = this.#screen.isTTY ? TERMINAL_MS : PLAIN_MS;
    if (progress.phase !== this.#phase) {
      this.#phase = progress.phase;
      this.#phaseBegan = { at: now, before: progress.done };
    } else if (now - this.#shownAt < interval) return;
    const { at, before } = this.#phaseBegan;
    this.#show(now, describe(progress, { seconds: (now - at) / 1_000, before }));
  }

  /** Shows what came of all, with how fast that was from the beginning. */
  done(progress: Progress): void {
    const now = this.#now();
    this.#show(now, describe(progress, { seconds: (now - this.#began) / 1_000, before: 0 }));
  }

  /** Leaves the bar as it is and goes on in a new line. */
  end(): void {
    if (this.#lineIsOpen) this.#screen.write('\n');
    this.#lineIsOpen = false;
  }

  #show(now: number, line: string): void {
    this.#shownAt = now;
    if (this.#screen.isTTY) {
      this.#screen.redraw(line);
      this.#lineIsOpen = true;
    } else {
      this.#screen.write(`${line}\n`);
    }
  }
}

/** One line: phase, bar, lines, how much, rate, time left; of each what is known. */
export function describe({ phase, unit, done, total, lines }: Progress, { seconds, before }: Span): string {
  const amount = (of: number): string => (unit === 'bytes' ? size(of) : `${count(of)} objects`);
  const parts = [phase];
  if (total) {
    const share = Math.min(done / total, 1);
    const filled = Math.round(share * BAR_LENGTH);
    parts.push(`[${'#'.repeat(filled)}${'.'.repeat(BAR_LENGTH - filled)}] ${Math.floor(share * 100)}%`);
  }
  if (lines !== undefined) parts.push(`${count(lines)} lines`);
  parts.push(amount(done));
  const rate = seconds > 0 ? (done - before) / seconds : 0;
  if (rate > 0) {
    parts.push(`${amount(Math.round(rate))}/s`);
    if (total && done < total) parts.push(`${duration((total - done) / rate)} left`);
  }
  return parts.join('  ');
}

/** A number with separators for thousands. */
export function count(number: number): string {
  return number.toLocaleString('en-US');
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Seconds as `1:02:03` or `2:03`. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

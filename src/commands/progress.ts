/** Progress of a long command: a bar that is drawn over itself on a terminal, a plain line now and then otherwise. */

/** How far it is. */
export interface Progress {
  readonly phase: string;
  readonly objects: number;
  readonly bytes: number;
  /** How many bytes there are altogether; undefined where that isn't known. */
  readonly totalBytes: number | undefined;
}

/** Where progress is shown; `process.stderr` is one. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const TERMINAL_MS = 100;
const PLAIN_MS = 5_000;
const BAR_LENGTH = 24;

export class ProgressReport {
  readonly #screen: Screen;
  readonly #now: () => number;
  readonly #started: number;
  #shownAt = Number.NEGATIVE_INFINITY;
  #shownPhase = '';
  #lineIsOpen = false;

  /** @param now a clock in milliseconds */
  constructor(screen: Screen, now: () => number = () => performance.now()) {
    this.#screen = screen;
    this.#now = now;
    this.#started = now();
  }

  /** Shows how far it is, unless that was shown just now. A new phase is always shown. */
  update(progress: Progress): void {
    const now = this.#now();
    const interval = this.#screen.isTTY ? TERMINAL_MS : PLAIN_MS;
    if (progress.phase === this.#shownPhase && now - this.#shownAt < interval) return;
    this.#shownAt = now;
    this.#shownPhase = progress.phase;
    const line = describe(progress, (now - this.#started) / 1000);
    if (this.#screen.isTTY) {
      this.#screen.write(`\r\x1b[2K${line.slice(0, (this.#screen.columns ?? 80) - 1)}`);
      this.#lineIsOpen = true;
    } else {
      this.#screen.write(`${line}\n`);
    }
  }

  /** Leaves the bar as it is and goes on in a new line. */
  end(): void {
    if (this.#lineIsOpen) this.#screen.write('\n');
    this.#lineIsOpen = false;
  }
}

/** One line: phase, bar, objects, bytes, rate, time left. */
export function describe({ phase, objects, bytes, totalBytes }: Progress, seconds: number): string {
  const rate = seconds > 0 ? objects / seconds : 0;
  const parts = [phase];
  if (totalBytes) {
    const share = Math.min(bytes / totalBytes, 1);
    const filled = Math.round(share * BAR_LENGTH);
    parts.push(`[${'#'.repeat(filled)}${'.'.repeat(BAR_LENGTH - filled)}] ${Math.floor(share * 100)}%`);
  }
  parts.push(`${count(objects)} objects`, size(bytes), `${count(Math.round(rate))}/s`);
  if (totalBytes && bytes > 0 && bytes < totalBytes) {
    parts.push(`${duration((seconds * (totalBytes - bytes)) / bytes)} left`);
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

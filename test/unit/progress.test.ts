import { describe, expect, it } from 'vitest';
import { describe as describeProgress, duration, ProgressReport } from '../../src/commands/progress.ts';
import { Screen } from '../../src/commands/terminal.ts';

const HALF = { phase: 'uploading', unit: 'bytes', done: 512 * 1024, total: 1024 * 1024 } as const;
const STORING = { phase: 'storing', unit: 'objects', done: 1_500, total: 3_000 } as const;
const TEN = { seconds: 10, before: 0 };

describe('a line of progress', () => {
  it('shows share, bytes, rate and the time left', () => {
    expect(describeProgress(HALF, TEN)).toBe(
      'uploading  [############............] 50%  512.0 KiB  51.2 KiB/s  0:10 left',
    );
  });

  it('shows lines as lines', () => {
    expect(describeProgress({ ...HALF, lines: 1_500 }, TEN)).toBe(
      'uploading  [############............] 50%  1,500 lines  512.0 KiB  51.2 KiB/s  0:10 left',
    );
  });

  it('shows objects as objects', () => {
    expect(describeProgress(STORING, TEN)).toBe(
      'storing  [############............] 50%  1,500 objects  150 objects/s  0:10 left',
    );
  });

  it('takes rate and time left of what was done since', () => {
    expect(describeProgress(STORING, { seconds: 10, before: 1_000 })).toContain('50 objects/s  0:30 left');
  });

  it('shows no share and no time left where it is not known how much there is', () => {
    expect(describeProgress({ ...HALF, total: undefined }, TEN)).toBe('uploading  512.0 KiB  51.2 KiB/s');
  });

  it('shows no time left at the end, and no rate before anything has happened', () => {
    const all = { ...HALF, done: 1024 * 1024 };
    expect(describeProgress(all, TEN)).toContain('100%');
    expect(describeProgress(all, TEN)).not.toContain('left');
    for (const nothing of [
      { seconds: 0, before: 0 },
      { seconds: 10, before: STORING.done },
    ]) {
      expect(describeProgress(STORING, nothing)).toBe(
        'storing  [############............] 50%  1,500 objects',
      );
    }
  });
});

it.each([
  [0, '0:00'],
  [61, '1:01'],
  [3_599.2, '1:00:00'],
  [36_061, '10:01:01'],
])('%f seconds are shown as %s', (seconds, shown) => {
  expect(duration(seconds)).toBe(shown);
});

describe('a report', () => {
  function run(isTTY: boolean): { written: string[]; tick: (ms: number) => void; report: ProgressReport } {
    const written: string[] = [];
    let now = 0;
    const screen = new Screen({ isTTY, columns: 40, write: (text) => written.push(text) });
    const report = new ProgressReport(screen, () => now);
    return {
      written,
      report,
      tick: (ms) => {
        now += ms;
      },
    };
  }

  it('is drawn over itself on a terminal, no wider than it is, at most ten times a second', () => {
    const { written, tick, report } = run(true);
    report.update(HALF);
    tick(50);
    report.update(HALF);
    expect(written).toHaveLength(1);
    tick(60);
    report.update(HALF);
    expect(written).toHaveLength(2);
    expect(written[1]?.startsWith('\r\u001b[2K')).toBe(true);
    expect(written[1]?.length).toBe(39 + '\r\u001b[2K'.length);
    report.end();
    expect(written.at(-1)).toBe('\n');
  });

  it('is a plain line every five seconds elsewhere, and at every new phase', () => {
    const { written, tick, report } = run(false);
    report.update(HALF);
    tick(4_900);
    report.update(HALF);
    expect(written).toHaveLength(1);
    report.update({ ...HALF, phase: 'storing' });
    tick(5_000);
    report.update({ ...HALF, phase: 'storing' });
    expect(written).toHaveLength(3);
    expect(written.every((line) => line.endsWith('\n') && !line.includes('\u001b'))).toBe(true);
    report.end();
    expect(written).toHaveLength(3);
  });

  it('measures each phase by itself, and in the end all of it', () => {
    const { written, tick, report } = run(false);
    report.update({ ...HALF, done: 0 });
    tick(10_000);
    report.update(STORING);
    tick(10_000);
    report.update({ ...STORING, done: 2_000 });
    report.done({ ...STORING, phase: 'done', done: 3_000 });
    expect(written.slice(1).map((line) => line.trim().split('  ').slice(2))).toEqual([
      ['1,500 objects'],
      ['2,000 objects', '50 objects/s', '0:20 left'],
      ['3,000 objects', '150 objects/s'],
    ]);
  });
});

import { describe, expect, it } from 'vitest';
import { describe as describeProgress, duration, ProgressReport } from '../../src/commands/progress.ts';

const HALF = { phase: 'uploading', objects: 1_500, bytes: 512 * 1024, totalBytes: 1024 * 1024 };

describe('a line of progress', () => {
  it('shows share, objects, bytes, rate and the time left', () => {
    expect(describeProgress(HALF, 10)).toBe(
      'uploading  [############............] 50%  1,500 objects  512.0 KiB  150/s  0:10 left',
    );
  });

  it('shows no share and no time left where the size is not known', () => {
    expect(describeProgress({ ...HALF, totalBytes: undefined }, 10)).toBe(
      'uploading  1,500 objects  512.0 KiB  150/s',
    );
  });

  it('shows no time left at the end, and no rate before anything has happened', () => {
    const all = { ...HALF, bytes: 1024 * 1024 };
    expect(describeProgress(all, 10)).toContain('100%');
    expect(describeProgress(all, 10)).not.toContain('left');
    expect(describeProgress({ ...HALF, objects: 0, bytes: 0 }, 0)).toContain('0/s');
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
    const screen = { isTTY, columns: 40, write: (text: string) => written.push(text) };
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
});

/** What was sent after something else was answered was accepted later, whoever sent it, to whichever API. */
import type { Findings, Rank } from './findings.ts';
import { compareRanks } from './findings.ts';

export function checkOrder(findings: Findings): void {
  const ranked = findings.history.operations.flatMap((operation) => {
    const rank = findings.rankOf(operation);
    return rank ? [{ operation, rank }] : [];
  });
  // What nobody has answered may still have been on its way when the client gave up.
  const answered = ranked
    .filter(({ operation }) => operation.answered)
    .sort((a, b) => a.operation.endedAt - b.operation.endedAt);
  let next = 0;
  let latest: Rank | undefined;
  for (const { operation, rank } of ranked.sort((a, b) => a.operation.begunAt - b.operation.begunAt)) {
    for (let before = answered[next]; before; before = answered[next]) {
      if (before.operation.endedAt >= operation.begunAt) break;
      if (!latest || compareRanks(before.rank, latest) > 0) latest = before.rank;
      next += 1;
    }
    if (latest && latest.requestId !== rank.requestId && compareRanks(latest, rank) > 0) {
      const detail = `${rank.requestId} was sent when ${latest.requestId} was answered already`;
      findings.add('accepted out of order', `${detail}, and counts as the earlier of the two`);
    }
  }
}

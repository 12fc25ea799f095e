/** Sends one webhook, once: what comes back, or why nothing did. */
import { Agent } from 'undici';
import type { Attempt } from './attempt.ts';
import { judgeAnswer, judgeError, timedOut, unanswered } from './attempt.ts';
import type { ConnectorOptions } from './connector.ts';
import { createConnector } from './connector.ts';
import { readAnswer } from './read-answer.ts';

/** How long an attempt may take, from the look-up of the name to the end of the answer, in milliseconds. */
const ATTEMPT_TIMEOUT_MS = 15_000;

/** Largest headers of an answer, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/** How long a connection is used before a new one is made, which looks the name up anew, in milliseconds. */
const CONNECTION_MS = 60_000;

/** What is to be sent. */
interface Outgoing {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * Sends a webhook; never rejects.
 * @param breakOff breaks it off
 * @returns what came of it; undefined where it was broken off, which says nothing of the receiver
 */
export type Send = (outgoing: Outgoing, breakOff: AbortSignal) => Promise<Attempt | undefined>;

export interface SenderOptions extends ConnectorOptions {
  /** Whether a URL may be `http:`. */
  readonly allowHttp: boolean;
  readonly userAgent: string;
  readonly timeoutMs?: number;
}

/** What sends webhooks. Takes no proxy from the environment: behind one, nobody would know where it leads. */
export interface Sender {
  readonly send: Send;
  /** Breaks off what is being sent. */
  close(): Promise<void>;
}

export function createSender(options: SenderOptions): Sender {
  const { allowHttp, userAgent, timeoutMs = ATTEMPT_TIMEOUT_MS } = options;
  const agent = new Agent({
    connect: createConnector(options),
    maxHeaderSize: MAX_HEADER_BYTES,
    // What limits the time is below, once for all of an attempt.
    headersTimeout: 0,
    bodyTimeout: 0,
    clientTtl: CONNECTION_MS,
  });
  // No encoding, because the beginning of the answer is kept to be read by people.
  const headers = {
    ...{ 'content-type': 'application/json', 'user-agent': userAgent, 'accept-encoding': 'identity' },
  };

  async function attempt(outgoing: Outgoing, signal: AbortSignal): Promise<Attempt> {
    const { protocol, origin, pathname, search } = new URL(outgoing.url);
    if (protocol !== 'https:' && !allowHttp) return unanswered('address_refused', 'the URL is not https:');
    const answer = await agent.request({
      ...{ origin, path: pathname + search, method: 'POST', signal },
      headers: { ...headers, ...outgoing.headers },
      body: outgoing.body,
    });
    const retryAfter = answer.headers['retry-after'];
    const response = await readAnswer(answer.body);
    return judgeAnswer(answer.statusCode, response, Array.isArray(retryAfter) ? retryAfter[0] : retryAfter);
  }

  return {
    async send(outgoing, breakOff) {
      const ending = new AbortController();
      const end = (): void => ending.abort();
      const timer = setTimeout(end, timeoutMs);
      breakOff.addEventListener('abort', end);
      if (breakOff.aborted) end();
      try {
        return await attempt(outgoing, ending.signal);
      } catch (error) {
        if (breakOff.aborted) return undefined;
        return ending.signal.aborted ? timedOut(timeoutMs) : judgeError(error);
      } finally {
        clearTimeout(timer);
        breakOff.removeEventListener('abort', end);
      }
    },
    close: () => agent.destroy(),
  };
}

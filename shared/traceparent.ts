/**
 * The header that ties the parts of one request together across processes.
 * Source: W3C Recommendation "Trace Context", 2.2 and 3.2: `version-traceId-parentId-flags` in lower-case hex.
 */

export const TRACEPARENT = 'traceparent';

export interface TraceContext {
  /** 32 hex digits, not all 0. */
  traceId: string;
  /** The caller's span: 16 hex digits, not all 0. */
  parentId: string;
  /** Whether the caller may have recorded the trace. */
  sampled: boolean;
}

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** `undefined` for what is not one; a later version is read as far as it is known, as the recommendation asks. */
export function parseTraceparent(header: string | null | undefined): TraceContext | undefined {
  const [, version, traceId, parentId, flags, more] = FORM.exec(header ?? '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId!) || /^0+$/.test(parentId!)) return undefined;
  return { traceId: traceId!, parentId: parentId!, sampled: (Number.parseInt(flags!, 16) & 1) === 1 };
}

export function formatTraceparent({ traceId, parentId, sampled }: TraceContext): string {
  return `00-${traceId}-${parentId}-${sampled ? '01' : '00'}`;
}

/**
 * What to send to the next service: the caller's trace where it sent one, else a new one that has the request's UUID
 * for its id, so that a logged request names its trace. Nothing is recorded here, so a new trace leaves it to the next
 * service whether to record.
 */
export function continueTrace(
  header: string | null | undefined,
  { requestId, newId }: { requestId: string; newId: () => string },
): string {
  const parent = parseTraceparent(header);
  const traceId = parent?.traceId ?? hex(requestId);
  return formatTraceparent({
    traceId: /^[0-9a-f]{32}$/.test(traceId) ? traceId : hex(newId()),
    parentId: hex(newId()).slice(-16),
    sampled: parent?.sampled ?? false,
  });
}

/** A UUID's digits. */
const hex = (uuid: string) => uuid.replaceAll('-', '').toLowerCase();

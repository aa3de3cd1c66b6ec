/**
 * Sends the spans to a collector by OTLP over HTTP. Loaded only where OTEL_EXPORTER_OTLP_ENDPOINT is set; the exporter
 * reads that and its other variables (headers, timeout) by itself, as OpenTelemetry's specification names them.
 */
import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { traceWith } from './span.ts';

export interface ExportOptions {
  version: string;
  /** Share of the traces recorded whose caller did not record them; those that it did are recorded always. */
  rate: number;
  /** Where ended spans go; unless given, to the collector in batches. */
  processors?: SpanProcessor[];
}

export interface Tracing {
  /** Sends what is left, and traces no more. */
  stop(): Promise<void>;
}

export function startTracing({ version, rate, processors }: ExportOptions): Tracing {
  const root = new TraceIdRatioBasedSampler(rate);
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': process.env.OTEL_SERVICE_NAME ?? 'harness-backend',
      'service.version': version,
    }),
    sampler: new ParentBasedSampler({ root, remoteParentNotSampled: root }),
    spanProcessors: processors ?? [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  traceWith(provider.getTracer('harness', version));
  return {
    async stop() {
      traceWith(undefined);
      await provider.shutdown();
      context.disable();
    },
  };
}

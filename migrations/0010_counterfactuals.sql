ALTER TABLE "experiment_units" ADD COLUMN "compared" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "experiment_units" ADD COLUMN "triggered" bigint DEFAULT 0 NOT NULL;
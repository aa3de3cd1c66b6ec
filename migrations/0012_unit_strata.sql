DROP INDEX "exposures_experiment_unit";--> statement-breakpoint
ALTER TABLE "experiment_units" ADD COLUMN "stratum" text GENERATED ALWAYS AS (coalesce(first[3], '') || ' ' || coalesce(first[4], '') || ' ' || coalesce(first[7], '')) STORED NOT NULL;--> statement-breakpoint
ALTER TABLE "experiment_units" ADD COLUMN "served" text GENERATED ALWAYS AS (coalesce(first[5], '') || ' ' || coalesce(first[6], '')) STORED NOT NULL;--> statement-breakpoint
CREATE INDEX "exposures_experiment_unit" ON "exposures" USING btree ("experiment","unit_id","impression_id");
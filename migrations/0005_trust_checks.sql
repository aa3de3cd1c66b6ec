CREATE TABLE "missing_exposures" (
	"impression_id" text NOT NULL,
	"experiment" text NOT NULL,
	"arm" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "missing_exposures_experiment_impression_id_pk" PRIMARY KEY("experiment","impression_id")
);
--> statement-breakpoint
ALTER TABLE "experiment_units" ADD COLUMN "first" text[];--> statement-breakpoint
ALTER TABLE "exposures" ADD COLUMN "triggered" boolean;--> statement-breakpoint
ALTER TABLE "impressions" ADD COLUMN "colo" text;
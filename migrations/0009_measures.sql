-- New columns of the rollups: they are made again from all events, at the next advance.
TRUNCATE "experiment_unit_days", "experiment_units";--> statement-breakpoint
DELETE FROM "counters" WHERE "name" = 'rollup';--> statement-breakpoint
CREATE TABLE "experiment_arm_days" (
	"experiment" text NOT NULL,
	"arm" text NOT NULL,
	"day" date NOT NULL,
	"name" text NOT NULL,
	"amount" numeric NOT NULL,
	CONSTRAINT "experiment_arm_days_experiment_arm_day_name_pk" PRIMARY KEY("experiment","arm","day","name")
);
--> statement-breakpoint
CREATE TABLE "judgements" (
	"market" text NOT NULL,
	"query" text NOT NULL,
	"ad_id" text NOT NULL,
	"relevant" boolean NOT NULL,
	"xact" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	CONSTRAINT "judgements_market_query_ad_id_pk" PRIMARY KEY("market","query","ad_id")
);
--> statement-breakpoint
ALTER TABLE "experiment_unit_days" ADD COLUMN "cached" bigint NOT NULL;--> statement-breakpoint
ALTER TABLE "experiment_unit_days" ADD COLUMN "judged" bigint NOT NULL;--> statement-breakpoint
ALTER TABLE "experiment_unit_days" ADD COLUMN "defects" bigint NOT NULL;--> statement-breakpoint
ALTER TABLE "experiment_units" ADD COLUMN "cached" bigint NOT NULL;--> statement-breakpoint
ALTER TABLE "experiment_units" ADD COLUMN "judged" bigint NOT NULL;--> statement-breakpoint
ALTER TABLE "experiment_units" ADD COLUMN "defects" bigint NOT NULL;--> statement-breakpoint
CREATE INDEX "judgements_xact" ON "judgements" USING btree ("xact");
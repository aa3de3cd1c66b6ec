CREATE TABLE "experiment_unit_days" (
	"experiment" text NOT NULL,
	"arm" text NOT NULL,
	"unit_id" text NOT NULL,
	"day" date NOT NULL,
	"bots" bigint NOT NULL,
	"first_at" timestamp (3) with time zone,
	"last_at" timestamp (3) with time zone,
	"queries" bigint NOT NULL,
	"covered" bigint NOT NULL,
	"shown" bigint NOT NULL,
	"clicks" bigint NOT NULL,
	"revenue" bigint NOT NULL,
	"conversions" bigint NOT NULL,
	"conversion_value" bigint NOT NULL,
	CONSTRAINT "experiment_unit_days_experiment_unit_id_day_arm_pk" PRIMARY KEY("experiment","unit_id","day","arm")
);
--> statement-breakpoint
CREATE TABLE "experiment_units" (
	"experiment" text NOT NULL,
	"unit_id" text NOT NULL,
	"arm" text,
	"mixed" boolean NOT NULL,
	"bots" bigint NOT NULL,
	"first_at" timestamp (3) with time zone,
	"last_at" timestamp (3) with time zone,
	"queries" bigint NOT NULL,
	"covered" bigint NOT NULL,
	"shown" bigint NOT NULL,
	"clicks" bigint NOT NULL,
	"revenue" bigint NOT NULL,
	"conversions" bigint NOT NULL,
	"conversion_value" bigint NOT NULL,
	CONSTRAINT "experiment_units_experiment_unit_id_pk" PRIMARY KEY("experiment","unit_id")
);
--> statement-breakpoint
ALTER TABLE "clicks" ADD COLUMN "xact" "xid8" DEFAULT pg_current_xact_id() NOT NULL;--> statement-breakpoint
ALTER TABLE "conversions" ADD COLUMN "xact" "xid8" DEFAULT pg_current_xact_id() NOT NULL;--> statement-breakpoint
ALTER TABLE "impressions" ADD COLUMN "xact" "xid8" DEFAULT pg_current_xact_id() NOT NULL;--> statement-breakpoint
CREATE INDEX "clicks_xact" ON "clicks" USING btree ("xact");--> statement-breakpoint
CREATE INDEX "conversions_xact" ON "conversions" USING btree ("xact");--> statement-breakpoint
CREATE INDEX "impressions_xact" ON "impressions" USING btree ("xact");
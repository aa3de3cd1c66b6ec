CREATE TABLE "account_spend" (
	"kind" text NOT NULL,
	"id" text NOT NULL,
	"day" date NOT NULL,
	"spent_micros" bigint NOT NULL,
	CONSTRAINT "account_spend_day_kind_id_pk" PRIMARY KEY("day","kind","id")
);
--> statement-breakpoint
CREATE TABLE "accounts" (
	"kind" text NOT NULL,
	"id" text NOT NULL,
	"definition" jsonb NOT NULL,
	"status" text NOT NULL,
	"daily_budget_micros" bigint,
	"revision" bigint NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	CONSTRAINT "accounts_kind_id_pk" PRIMARY KEY("kind","id")
);
--> statement-breakpoint
CREATE TABLE "bulk_loads" (
	"id" text PRIMARY KEY NOT NULL,
	"file" text NOT NULL,
	"position" bigint NOT NULL,
	"rejected" bigint NOT NULL,
	"report_bytes" bigint NOT NULL,
	"started_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "staged_ads" (
	"load_id" text NOT NULL,
	"line" bigint NOT NULL,
	"ad_id" text NOT NULL,
	"ad" jsonb NOT NULL,
	"vector" "bytea",
	"text_digest" text
);
--> statement-breakpoint
ALTER TABLE "ads" ADD COLUMN "negatives" jsonb;--> statement-breakpoint
ALTER TABLE "ads" ADD COLUMN "languages" jsonb;--> statement-breakpoint
ALTER TABLE "ads" ADD COLUMN "devices" jsonb;--> statement-breakpoint
ALTER TABLE "ads" ADD COLUMN "policy_flags" jsonb;
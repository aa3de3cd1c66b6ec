CREATE TABLE "ad_vectors" (
	"ad_id" text NOT NULL,
	"space_id" text NOT NULL,
	"vector" "bytea" NOT NULL,
	"text_digest" text NOT NULL,
	CONSTRAINT "ad_vectors_ad_id_space_id_pk" PRIMARY KEY("ad_id","space_id")
);
--> statement-breakpoint
CREATE TABLE "ads" (
	"id" text PRIMARY KEY NOT NULL,
	"advertiser_id" text NOT NULL,
	"campaign_id" text NOT NULL,
	"title" text NOT NULL,
	"description" text NOT NULL,
	"display_url" text NOT NULL,
	"landing_url" text NOT NULL,
	"keywords" jsonb NOT NULL,
	"markets" jsonb NOT NULL,
	"bid_micros" bigint NOT NULL,
	"daily_budget_micros" bigint NOT NULL,
	"status" text NOT NULL,
	"revision" bigint NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "clicks" (
	"id" text PRIMARY KEY NOT NULL,
	"impression_id" text NOT NULL,
	"ad_id" text NOT NULL,
	"position" bigint NOT NULL,
	"charge_micros" bigint NOT NULL,
	"bot" boolean NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "conversions" (
	"id" text PRIMARY KEY NOT NULL,
	"click_id" text NOT NULL,
	"value_micros" bigint NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "counters" (
	"name" text PRIMARY KEY NOT NULL,
	"value" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "experiments" (
	"key" text PRIMARY KEY NOT NULL,
	"layer" text NOT NULL,
	"status" text NOT NULL,
	"definition" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "exposures" (
	"impression_id" text NOT NULL,
	"experiment" text NOT NULL,
	"layer" text NOT NULL,
	"arm" text NOT NULL,
	"unit_id" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "exposures_impression_id_experiment_pk" PRIMARY KEY("impression_id","experiment")
);
--> statement-breakpoint
CREATE TABLE "generations" (
	"number" integer PRIMARY KEY NOT NULL,
	"status" text NOT NULL,
	"space_id" text NOT NULL,
	"model" text NOT NULL,
	"ads" integer NOT NULL,
	"recall" double precision,
	"reason" text,
	"catalogue_revision" bigint NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"published_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "impressions" (
	"id" text PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"unit_id" text NOT NULL,
	"bot" boolean NOT NULL,
	"market" text NOT NULL,
	"locale" text NOT NULL,
	"query" text NOT NULL,
	"config_version" bigint NOT NULL,
	"plan_fingerprint" text NOT NULL,
	"generation" bigint,
	"model" text,
	"cache_status" text NOT NULL,
	"cache_age_ms" double precision NOT NULL,
	"rung" text NOT NULL,
	"reason" text,
	"slot_count" integer NOT NULL,
	"total_ms" double precision NOT NULL,
	"backend_ms" double precision NOT NULL,
	"encode_ms" double precision NOT NULL,
	"search_ms" double precision NOT NULL,
	"slots" jsonb NOT NULL
);
--> statement-breakpoint
CREATE INDEX "ads_revision" ON "ads" USING btree ("revision","id");--> statement-breakpoint
CREATE INDEX "clicks_impression" ON "clicks" USING btree ("impression_id");--> statement-breakpoint
CREATE INDEX "conversions_click" ON "conversions" USING btree ("click_id");--> statement-breakpoint
CREATE INDEX "exposures_experiment_unit" ON "exposures" USING btree ("experiment","unit_id");--> statement-breakpoint
CREATE INDEX "impressions_at" ON "impressions" USING btree ("at");
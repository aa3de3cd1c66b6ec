ALTER TABLE "impressions" ADD COLUMN "qa" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "impressions" ADD COLUMN "device" text;
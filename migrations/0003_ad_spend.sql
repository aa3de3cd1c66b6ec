CREATE TABLE "ad_spend" (
	"ad_id" text NOT NULL,
	"day" date NOT NULL,
	"spent_micros" bigint NOT NULL,
	CONSTRAINT "ad_spend_day_ad_id_pk" PRIMARY KEY("day","ad_id")
);

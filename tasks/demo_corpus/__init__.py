"""demo_corpus."""

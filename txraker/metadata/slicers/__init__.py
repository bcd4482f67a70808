"""What each family of slicers writes into its files: one table a family."""

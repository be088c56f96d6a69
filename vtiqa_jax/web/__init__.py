"""What pages share: JavaScript that both have, and how modules become one script."""

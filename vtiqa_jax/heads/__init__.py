"""Heads on a backbone that stays as it is: what a photo shows at 100 %. `vtiqa heads` makes them again for another."""

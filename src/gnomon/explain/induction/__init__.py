"""Which heads find what came before and say it again?"""
